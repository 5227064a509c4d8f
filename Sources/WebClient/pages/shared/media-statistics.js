// Turns RTCStats into a line per stream: rates, picture size, loss, and the path the packets take.

/** @typedef {import("./media.js").Media} Media */

/**
 * @typedef {object} StreamStatistics
 * @property {string} key
 * @property {"in" | "out"} direction
 * @property {"audio" | "video"} kind
 * @property {string} mid of the section it comes on
 * @property {string | null} participant null for our own
 * @property {string} stream
 * @property {string} layer simulcast layer, for our own
 * @property {string} codec
 * @property {number} bitsPerSecond
 * @property {number} width
 * @property {number} height
 * @property {number} framesPerSecond
 * @property {number} loss share of packets lost since the last look, 0…1
 * @property {number} jitter milliseconds
 * @property {number} freezes
 * @property {boolean} active false for a layer of our own that is paused
 * @property {string} limitation what keeps a picture of our own from being better: "bandwidth", "cpu" or ""
 */

/**
 * @typedef {object} PathStatistics
 * @property {string} transport "UDP", "TCP" or "–"
 * @property {string} local
 * @property {string} remote
 * @property {number} roundTrip milliseconds
 * @property {number} available bits per second the sender may use
 * @property {number} incoming bits per second
 * @property {number} outgoing bits per second
 * @property {string} encryption
 */

export class StatisticsReader {
    /** @type {Map<string, { time: number, bytes: number, packets: number, lost: number }>} */
    #last = new Map();

    /**
     * @param {Media} media
     * @returns {Promise<{ path: PathStatistics, streams: StreamStatistics[] }>}
     */
    async read(media) {
        const path = emptyPath();
        const report = await media.peer?.getStats();
        if (!report) return { path, streams: [] };
        /** @type {Map<string, any>} */
        const all = new Map();
        report.forEach((entry) => all.set(entry.id, entry));

        /** @type {StreamStatistics[]} */
        const streams = [];
        const locals = new Map([...media.local.values()].map((local) => [local.transceiver?.mid, local]));
        for (const entry of all.values()) {
            if (entry.type === "inbound-rtp") {
                const remote = media.remote.get(entry.mid);
                if (remote) streams.push(this.#inbound(entry, remote, all));
            } else if (entry.type === "outbound-rtp") {
                const local = locals.get(entry.mid);
                if (local) streams.push(this.#outbound(entry, local, all));
            } else if (entry.type === "transport") {
                this.#path(path, entry, all);
            }
        }
        return { path, streams };
    }

    /**
     * @param {any} entry
     * @param {import("./media.js").RemoteStream} remote
     * @param {Map<string, any>} all
     * @returns {StreamStatistics}
     */
    #inbound(entry, remote, all) {
        const change = this.#change(entry.id, entry.timestamp, entry.bytesReceived, entry.packetsReceived, entry.packetsLost);
        const expected = change.packets + Math.max(0, change.lost);
        return {
            key: entry.id,
            direction: "in",
            kind: entry.kind,
            mid: remote.mid,
            participant: remote.participant,
            stream: remote.stream,
            layer: "",
            codec: codecName(all.get(entry.codecId)),
            bitsPerSecond: change.bitsPerSecond,
            width: entry.frameWidth ?? 0,
            height: entry.frameHeight ?? 0,
            framesPerSecond: entry.framesPerSecond ?? 0,
            loss: expected > 0 ? Math.max(0, change.lost) / expected : 0,
            jitter: (entry.jitter ?? 0) * 1000,
            freezes: entry.freezeCount ?? 0,
            active: true,
            limitation: "",
        };
    }

    /**
     * @param {any} entry
     * @param {import("./media.js").LocalStream} local
     * @param {Map<string, any>} all
     * @returns {StreamStatistics}
     */
    #outbound(entry, local, all) {
        const change = this.#change(entry.id, entry.timestamp, entry.bytesSent, entry.packetsSent, 0);
        const answer = all.get(entry.remoteId);
        return {
            key: entry.id,
            direction: "out",
            kind: entry.kind,
            mid: local.transceiver?.mid ?? "",
            participant: null,
            stream: local.stream,
            layer: entry.rid ?? "",
            codec: codecName(all.get(entry.codecId)),
            bitsPerSecond: change.bitsPerSecond,
            width: entry.frameWidth ?? 0,
            height: entry.frameHeight ?? 0,
            framesPerSecond: entry.framesPerSecond ?? 0,
            loss: answer?.fractionLost ?? 0,
            jitter: (answer?.jitter ?? 0) * 1000,
            freezes: 0,
            active: entry.active ?? true,
            limitation: entry.qualityLimitationReason === "bandwidth" || entry.qualityLimitationReason === "cpu" ? entry.qualityLimitationReason : "",
        };
    }

    /**
     * @param {PathStatistics} path
     * @param {any} transport
     * @param {Map<string, any>} all
     */
    #path(path, transport, all) {
        const pair = all.get(transport.selectedCandidatePairId);
        if (!pair) return;
        const local = all.get(pair.localCandidateId);
        const remote = all.get(pair.remoteCandidateId);
        path.transport = (local?.protocol ?? remote?.protocol ?? "–").toUpperCase();
        path.local = local ? address(local) : "–";
        path.remote = remote ? address(remote) : "–";
        path.roundTrip = (pair.currentRoundTripTime ?? NaN) * 1000;
        path.available = pair.availableOutgoingBitrate ?? NaN;
        path.encryption = [transport.tlsVersion && dtlsName(transport.tlsVersion), transport.srtpCipher].filter(Boolean).join(", ");
        path.incoming = this.#change(`${transport.id} in`, transport.timestamp, transport.bytesReceived, 0, 0).bitsPerSecond;
        path.outgoing = this.#change(`${transport.id} out`, transport.timestamp, transport.bytesSent, 0, 0).bitsPerSecond;
    }

    /**
     * @param {string} id
     * @param {number} time
     * @param {number} bytes
     * @param {number} packets
     * @param {number} lost
     */
    #change(id, time, bytes = 0, packets = 0, lost = 0) {
        const before = this.#last.get(id);
        this.#last.set(id, { time, bytes, packets, lost });
        if (!before || time <= before.time) return { bitsPerSecond: 0, packets: 0, lost: 0 };
        return {
            bitsPerSecond: Math.max(0, ((bytes - before.bytes) * 8000) / (time - before.time)),
            packets: Math.max(0, packets - before.packets),
            lost: lost - before.lost,
        };
    }
}

/** @returns {PathStatistics} */
function emptyPath() {
    return {
        transport: "–", local: "–", remote: "–", roundTrip: NaN, available: NaN, incoming: NaN, outgoing: NaN, encryption: "",
    };
}

/** @param {any} codec */
function codecName(codec) {
    return codec?.mimeType?.split("/")[1] ?? "–";
}

/** @param {any} candidate */
function address(candidate) {
    const host = candidate.address ?? candidate.ip ?? "?";
    return `${host.includes(":") ? `[${host}]` : host}:${candidate.port ?? "?"} (${candidate.candidateType ?? "?"})`;
}

/** @param {string} version */
function dtlsName(version) {
    return { FEFD: "DTLS 1.2", FEFC: "DTLS 1.3" }[version.toUpperCase()] ?? version;
}
