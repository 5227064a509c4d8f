// Sound and pictures: one peer connection on which this page always offers, with its own streams and a pool of sections for everybody else's.

import { addClinicalVideo, addLayeredVideo, fitSizes, readDependencies, standardChoice } from "./encodings.js";

/** @typedef {import("./consilium").Section} Section */
/** @typedef {import("./consilium").StreamDeclaration} StreamDeclaration */
/** @typedef {import("./consilium").NegotiateReply} NegotiateReply */
/** @typedef {import("./encodings.js").VideoChoice} VideoChoice */

/**
 * @typedef {object} LocalStream
 * @property {string} stream unique name among this participant's streams
 * @property {string} role
 * @property {"audio" | "video"} kind
 * @property {string} label
 * @property {boolean} muted
 * @property {MediaStreamTrack | null} track
 * @property {MediaStream} media what the page shows of it
 * @property {RTCRtpTransceiver | null} transceiver
 * @property {boolean} layered in several sizes
 * @property {(rid: string) => boolean} isWanted which of its encodings anybody wants
 */

/**
 * Participant and stream are empty for a section in which microphones take turns.
 * @typedef {{ participant: string, stream: string, kind: "audio" | "video", mid: string, media: MediaStream }} RemoteStream
 */

const firstPool = { audio: 2, video: 4 };
const disconnectedPatience = 4_000;
const restartPatience = 8_000;
const longestRetry = 8_000;

/** Resolution is sacred for these; frame rate gives way. */
const detailed = new Set(["document", "imaging"]);

/**
 * Events: `change` (streams or state changed), `state` (detail: new state), `failed` (detail: {code, message}; negotiation refused).
 */
export class Media extends EventTarget {
    /** @type {RTCPeerConnection | null} */
    peer = null;
    /** @type {"new" | "connecting" | "connected" | "disconnected" | "failed" | "closed"} */
    state = "new";
    /** @type {Map<string, LocalStream>} */
    local = new Map();
    /** @type {Map<string, RemoteStream>} by mid */
    remote = new Map();

    /** @type {(offer: { sdp: string, streams: StreamDeclaration[] }) => Promise<NegotiateReply>} */
    #exchange;
    #wanted = { ...firstPool };
    #dirty = false;
    #running = false;
    #retryDelay = 500;
    #retryTimer = 0;
    #watchdog = 0;
    #restarts = 0;
    #builtAt = Infinity;
    /** @type {Section[] | null} sections told while an offer was under way; newer than the answer's */
    #toldMeanwhile = null;

    #choice;

    /**
     * @param {(offer: { sdp: string, streams: StreamDeclaration[] }) => Promise<NegotiateReply>} exchange
     * @param {VideoChoice} [choice] how cameras are encoded
     */
    constructor(exchange, choice = standardChoice) {
        super();
        this.#exchange = exchange;
        this.#choice = choice;
    }

    /** Opens the peer connection with whatever is published already. */
    start() {
        if (!this.peer) this.#build();
        this.negotiate();
    }

    /** A new peer connection with the same streams; for when the old one, or the server's side of it, is gone. */
    rebuild() {
        this.#tearDown();
        this.#build();
        this.negotiate();
    }

    close() {
        this.#tearDown();
        for (const stream of this.local.values()) stream.track?.stop();
        this.local.clear();
        this.#setState("closed");
    }

    /**
     * Adds a stream of this participant. A null track declares a stream that is switched off for now.
     * @param {{ stream: string, role: string, kind: "audio" | "video", label?: string, muted?: boolean, layered?: boolean }} description
     * @param {MediaStreamTrack | null} track
     * @returns {LocalStream}
     */
    publish(description, track) {
        const { stream, role, kind, label = "", muted = false, layered = false } = description;
        /** @type {LocalStream} */
        const local = { stream, role, kind, label, muted, track, layered, media: new MediaStream(), transceiver: null, isWanted: all };
        this.local.set(stream, local);
        this.#prepare(local);
        if (this.peer) {
            this.#attach(local);
            this.negotiate();
        }
        this.#changed();
        return local;
    }

    /** @param {string} stream */
    unpublish(stream) {
        const local = this.local.get(stream);
        if (!local) return;
        this.local.delete(stream);
        local.track?.stop();
        if (local.transceiver) {
            local.transceiver.direction = "inactive";
            void local.transceiver.sender.replaceTrack(null);
            this.negotiate();
        }
        this.#changed();
    }

    /**
     * Puts another track (another camera, a microphone switched on again) in a stream's place without negotiating.
     * @param {string} stream
     * @param {MediaStreamTrack | null} track
     */
    async replace(stream, track) {
        const local = this.local.get(stream);
        if (!local) return;
        if (local.track !== track) local.track?.stop();
        local.track = track;
        this.#prepare(local);
        await local.transceiver?.sender.replaceTrack(track);
        if (track) activate(local);
        this.#changed();
    }

    /**
     * @param {string} stream
     * @param {boolean} muted
     */
    setMuted(stream, muted) {
        const local = this.local.get(stream);
        if (!local) return;
        local.muted = muted;
        if (local.track) local.track.enabled = !muted;
        this.#changed();
    }

    /**
     * @param {string} participant
     * @param {string} stream
     * @returns {MediaStream | null}
     */
    find(participant, stream) {
        for (const remote of this.remote.values()) {
            if (remote.participant === participant && remote.stream === stream) return remote.media;
        }
        return null;
    }

    /** Milliseconds since the peer connection was made. */
    get age() {
        return performance.now() - this.#builtAt;
    }

    /** @returns {RemoteStream[]} */
    get sounds() {
        return [...this.remote.values()].filter((remote) => remote.kind === "audio");
    }

    /**
     * The server says which section carries whose stream, and how many it would need.
     * @param {Section[]} sections
     * @param {{ audio: number, video: number } | undefined} needed
     */
    assign(sections, needed) {
        if (this.#running) this.#toldMeanwhile = sections;
        this.#map(sections);
        this.#grow(needed);
    }

    /**
     * The server says which layers of our streams anybody wants; the others are neither encoded nor sent.
     * @param {{ mid: string, wanted: boolean, rids: string[] }[]} streams
     */
    setWanted(streams) {
        for (const { mid, wanted, rids } of streams) {
            const local = [...this.local.values()].find((candidate) => candidate.transceiver?.mid === mid);
            if (!local) continue;
            local.isWanted = (rid) => wanted && (rids.length === 0 || rids.includes(rid));
            activate(local);
        }
    }

    /** Asks for an offer; several wishes at once become one. */
    negotiate() {
        this.#dirty = true;
        void this.#run();
    }

    /** After the signalling came back: the server may have told sections that we missed, and the path may have died. */
    resumed() {
        if (!this.peer) return;
        if (this.state !== "connected") this.peer.restartIce();
        this.#retryDelay = 500;
        this.negotiate();
    }

    #build() {
        const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle", rtcpMuxPolicy: "require" });
        this.peer = peer;
        this.#builtAt = performance.now();
        this.#restarts = 0;
        this.remote.clear();
        peer.addEventListener("connectionstatechange", () => {
            if (peer === this.peer) this.#follow();
        });
        for (const local of this.local.values()) this.#attach(local);
        this.#fillPool();
    }

    #tearDown() {
        window.clearTimeout(this.#watchdog);
        window.clearTimeout(this.#retryTimer);
        this.#retryTimer = 0;
        this.peer?.close();
        this.peer = null;
        this.remote.clear();
        for (const local of this.local.values()) local.transceiver = null;
    }

    /** @param {LocalStream} local */
    #prepare(local) {
        for (const old of local.media.getTracks()) local.media.removeTrack(old);
        if (!local.track) return;
        local.track.enabled = !local.muted;
        if ("contentHint" in local.track && local.kind === "video") {
            local.track.contentHint = detailed.has(local.role) ? "detail" : "motion";
        }
        local.media.addTrack(local.track);
    }

    /** @param {LocalStream} local */
    #attach(local) {
        const peer = this.peer;
        if (!peer) return;
        local.isWanted = all;
        const idle = local.layered ? undefined : this.#idleSender(local.kind);
        if (idle) {
            idle.direction = "sendonly";
            void idle.sender.replaceTrack(local.track);
            local.transceiver = idle;
            activate(local);
        } else {
            local.transceiver =
                local.kind === "audio" ? peer.addTransceiver(local.track ?? "audio", { direction: "sendonly" })
                : local.layered ? addLayeredVideo(peer, local.track, this.#choice)
                : addClinicalVideo(peer, local.track);
        }
        if (detailed.has(local.role)) void keepResolution(local.transceiver.sender);
    }

    /**
     * A sending section that an ended screen left behind.
     * @param {"audio" | "video"} kind
     */
    #idleSender(kind) {
        const used = new Set([...this.local.values()].map((local) => local.transceiver));
        return this.peer?.getTransceivers().find(
            (candidate) =>
                candidate.direction === "inactive" && !used.has(candidate) && candidate.receiver.track.kind === kind &&
                candidate.sender.getParameters().encodings.length <= 1,
        );
    }

    #fillPool() {
        const peer = this.peer;
        if (!peer) return false;
        let grew = false;
        for (const kind of /** @type {const} */ (["audio", "video"])) {
            const have = peer.getTransceivers().filter(
                (transceiver) => transceiver.direction === "recvonly" && transceiver.receiver.track.kind === kind,
            ).length;
            for (let count = have; count < this.#wanted[kind]; count += 1) {
                const transceiver = peer.addTransceiver(kind, { direction: "recvonly" });
                if (kind === "video") readDependencies(transceiver);
                grew = true;
            }
        }
        return grew;
    }

    /** @param {{ audio: number, video: number } | undefined} needed */
    #grow(needed) {
        if (!needed) return;
        this.#wanted.audio = Math.max(this.#wanted.audio, needed.audio);
        this.#wanted.video = Math.max(this.#wanted.video, needed.video);
        if (this.#fillPool()) this.negotiate();
    }

    async #run() {
        if (this.#running) return;
        this.#running = true;
        try {
            while (this.#dirty && this.peer) {
                this.#dirty = false;
                await this.#negotiateOnce(this.peer);
            }
        } finally {
            this.#running = false;
        }
    }

    /** @param {RTCPeerConnection} peer */
    async #negotiateOnce(peer) {
        this.#toldMeanwhile = null;
        try {
            await peer.setLocalDescription(await peer.createOffer());
            const sdp = peer.localDescription?.sdp ?? "";
            const reply = await this.#exchange({ sdp, streams: this.#declarations() });
            if (peer !== this.peer) return;
            await peer.setRemoteDescription({ type: "answer", sdp: reply.sdp });
            this.#retryDelay = 500;
            this.#map(this.#toldMeanwhile ?? reply.sections);
            this.#grow(reply.needed);
        } catch (error) {
            if (peer !== this.peer) return;
            if (peer.signalingState === "have-local-offer") {
                await peer.setLocalDescription({ type: "rollback" }).catch(() => undefined);
            }
            const code = /** @type {any} */ (error)?.code;
            // Signalling comes back by itself and then calls resumed().
            if (code === "connection_lost") return;
            const message = error instanceof Error ? error.message : String(error);
            this.dispatchEvent(new CustomEvent("failed", { detail: { code: String(code ?? "browser"), message } }));
            this.#retryLater();
        }
    }

    #retryLater() {
        if (this.#retryTimer) return;
        this.#retryTimer = window.setTimeout(() => {
            this.#retryTimer = 0;
            this.negotiate();
        }, this.#retryDelay);
        this.#retryDelay = Math.min(longestRetry, this.#retryDelay * 2);
    }

    /** @returns {StreamDeclaration[]} */
    #declarations() {
        const declarations = [];
        for (const { transceiver, stream, role, label, muted } of this.local.values()) {
            if (transceiver?.mid) declarations.push({ mid: transceiver.mid, stream, role, label, muted });
        }
        return declarations;
    }

    /** @param {Section[]} sections */
    #map(sections) {
        const peer = this.peer;
        if (!peer) return;
        const transceivers = new Map(peer.getTransceivers().map((transceiver) => [transceiver.mid, transceiver]));
        const told = new Set();
        for (const { mid, kind, participant, stream, shared } of sections) {
            const transceiver = transceivers.get(mid);
            if (!transceiver) continue;
            if (shared) {
                told.add(mid);
                const media = this.remote.get(mid)?.media ?? new MediaStream([transceiver.receiver.track]);
                this.remote.set(mid, { participant: "", stream: "", kind, mid, media });
                continue;
            }
            if (!participant || !stream) continue;
            told.add(mid);
            const known = this.remote.get(mid);
            if (known && known.participant === participant && known.stream === stream) continue;
            // A new MediaStream, so that an element which shows it starts afresh with the new sender.
            const media = new MediaStream([transceiver.receiver.track]);
            this.remote.set(mid, { participant, stream, kind, mid, media });
        }
        for (const mid of this.remote.keys()) {
            if (!told.has(mid)) this.remote.delete(mid);
        }
        this.#changed();
    }

    #follow() {
        const peer = this.peer;
        if (!peer) return;
        window.clearTimeout(this.#watchdog);
        switch (peer.connectionState) {
            case "connected":
                this.#restarts = 0;
                this.#setState("connected");
                break;
            case "disconnected":
                this.#setState("disconnected");
                this.#watchdog = window.setTimeout(() => this.#recover(), disconnectedPatience);
                break;
            case "failed":
                this.#setState("failed");
                this.#recover();
                break;
            case "connecting":
                this.#setState("connecting");
                break;
            default:
                break;
        }
    }

    /** First an ICE restart, which keeps the streams running when it works; then a new peer connection. */
    #recover() {
        const peer = this.peer;
        if (!peer || peer.connectionState === "connected") return;
        this.#restarts += 1;
        if (this.#restarts > 2) {
            this.rebuild();
            return;
        }
        peer.restartIce();
        this.negotiate();
        this.#watchdog = window.setTimeout(() => this.#recover(), restartPatience);
    }

    /** @param {Media["state"]} state */
    #setState(state) {
        if (this.state === state) return;
        this.state = state;
        this.dispatchEvent(new CustomEvent("state", { detail: state }));
    }

    #changed() {
        this.dispatchEvent(new CustomEvent("change"));
    }
}

/** @param {RTCRtpSender} sender */
async function keepResolution(sender) {
    try {
        const parameters = sender.getParameters();
        /** @type {any} */ (parameters).degradationPreference = "maintain-resolution";
        await sender.setParameters(parameters);
    } catch {
        // The hint on the track asks for the same.
    }
}

/** @type {WeakMap<RTCRtpSender, Promise<void>>} the last change of a sender's parameters; the next one waits for it */
const changes = new WeakMap();

const all = () => true;

/**
 * Brings the encodings in line with the camera's size and with what is wanted.
 * @param {LocalStream} local
 */
function activate({ transceiver, track, isWanted }) {
    if (!transceiver || transceiver.sender.track?.kind === "audio") return;
    void change(transceiver.sender, (encodings) => {
        for (const encoding of encodings) encoding.active = true;
        fitSizes(encodings, track);
        for (const encoding of encodings) encoding.active &&= isWanted(encoding.rid ?? "");
    });
}

/**
 * @param {RTCRtpSender} sender
 * @param {(encodings: RTCRtpEncodingParameters[]) => void} apply
 */
function change(sender, apply) {
    const changed = (changes.get(sender) ?? Promise.resolve()).then(async () => {
        // Somebody else may change the parameters between reading and writing them: then it is tried once more.
        for (let attempt = 0; attempt < 2; attempt += 1) {
            const parameters = sender.getParameters();
            apply(parameters.encodings);
            try {
                await sender.setParameters(parameters);
                return;
            } catch (error) {
                if (attempt > 0) console.warn("the browser does not change how it encodes", error);
            }
        }
    });
    changes.set(sender, changed);
}
