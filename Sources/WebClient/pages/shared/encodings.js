// How this page's pictures are encoded: which codec, and in which layers, so that everybody gets the size their screen and line are good for.

/**
 * `layers` is "simulcast" (several encodings of different sizes) or a scalability mode such as "L3T3" (one encoding in layers).
 * @typedef {{ codec: "vp8" | "vp9" | "av1" | "h264", layers: string }} VideoChoice
 */

/** Every browser encodes and decodes it, most without straining the computer. */
export const standardChoice = Object.freeze(/** @type {VideoChoice} */ ({ codec: "vp8", layers: "simulcast" }));

/** What each codec does best. */
const usualLayers = { vp8: "simulcast", vp9: "L3T3", av1: "L3T3", h264: "simulcast" };

/** Smallest first, so that a size is there at once while the estimate still grows. */
const rids = ["q", "h", "f"];
/** Of a quarter, a half and the whole of the picture's sides. */
const bitrates = [180_000, 600_000, 2_500_000];
/** From how many pixels on a picture is worth two sizes, and three. Browsers leave out the last ones where there are more. */
const pixelsFor = [0, 480 * 270, 960 * 540];
/** All sizes of one layered encoding together. */
const layeredBitrate = 3_000_000;
const clinicalBitrate = 6_000_000;
/** Where the line is too small, half or a quarter of the frames go on in full size. */
const frameRates = "L1T3";

/**
 * Reads `?codec=vp9&layers=L3T3` of the page's address; what is missing or unknown there is chosen here.
 * @param {string} search
 * @returns {VideoChoice}
 */
export function readVideoChoice(search) {
    const words = new URLSearchParams(search);
    const codec = words.get("codec")?.toLowerCase() ?? standardChoice.codec;
    if (codec !== "vp8" && codec !== "vp9" && codec !== "av1" && codec !== "h264") return standardChoice;
    const layers = words.get("layers") ?? "";
    const isKnown = layers === "simulcast" || (/^L[123]T[123](_KEY(_SHIFT)?|h)?$/.test(layers) && canLayer(codec, layers));
    return { codec, layers: isKnown ? layers : usualLayers[codec] };
}

/**
 * Only VP9 and AV1 have several sizes in one encoding.
 * @param {VideoChoice["codec"]} codec
 * @param {string} layers
 */
const canLayer = (codec, layers) => codec === "vp9" || codec === "av1" || layers.startsWith("L1");

/**
 * A section that sends pictures in layers: as chosen, or, where the browser cannot, in the standard way.
 * @param {RTCPeerConnection} peer
 * @param {MediaStreamTrack | null} track
 * @param {VideoChoice} choice
 * @returns {RTCRtpTransceiver}
 */
export function addLayeredVideo(peer, track, choice) {
    for (const attempt of [choice, standardChoice]) {
        if (!canSend(attempt.codec)) continue;
        const transceiver = add(peer, track, layered(attempt, track));
        if (!transceiver) continue;
        preferCodec(transceiver, attempt.codec);
        if (keeps(transceiver, attempt)) return transceiver;
        transceiver.stop();
    }
    const transceiver = peer.addTransceiver(track ?? "video", { direction: "sendonly", sendEncodings: simulcast(track) });
    preferCodec(transceiver, standardChoice.codec);
    return transceiver;
}

/**
 * What the encodings of a simulcast are to be for another camera, which may be larger or smaller.
 * @param {RTCRtpEncodingParameters[]} encodings changed in place
 * @param {MediaStreamTrack | null} track
 */
export function fitSizes(encodings, track) {
    if (encodings.length < rids.length) return;
    for (const [index, size] of simulcast(track).entries()) Object.assign(encodings[index] ?? {}, size);
}

/**
 * In how many sizes a camera is sent.
 * @param {MediaStreamTrack | null} track
 */
function countSizes(track) {
    const { width = 1280, height = 720 } = track?.getSettings() ?? {};
    return pixelsFor.filter((pixels) => width * height >= pixels).length;
}

/** @param {MediaStreamTrack | null} track */
function simulcast(track) {
    const count = countSizes(track);
    return rids.map((rid, index) => {
        const halvings = Math.max(0, count - 1 - index);
        return {
            rid, scaleResolutionDownBy: 2 ** halvings, maxBitrate: bitrates[rids.length - 1 - halvings], active: index < count,
        };
    });
}

/**
 * A section that sends one size, which is read or operated by: frame rate gives way, not the picture.
 * @param {RTCPeerConnection} peer
 * @param {MediaStreamTrack | null} track
 */
export function addClinicalVideo(peer, track) {
    const bounded = { maxBitrate: clinicalBitrate };
    const transceiver =
        add(peer, track, [{ ...bounded, scalabilityMode: frameRates }]) ??
        peer.addTransceiver(track ?? "video", { direction: "sendonly", sendEncodings: [bounded] });
    preferCodec(transceiver, standardChoice.codec);
    return transceiver;
}

/**
 * Pictures in layers say of each frame what it needs. Chromium reads that only where it is asked for, and without it decodes
 * no AV1 in sizes, nor VP9 of which a packet was lost.
 * @param {RTCRtpTransceiver} transceiver
 */
export function readDependencies(transceiver) {
    const extensions = transceiver.getHeaderExtensionsToNegotiate?.() ?? [];
    const dependencies = extensions.find(({ uri }) => uri.includes("dependency-descriptor"));
    if (!dependencies || dependencies.direction !== "stopped") return;
    dependencies.direction = "sendrecv";
    try {
        transceiver.setHeaderExtensionsToNegotiate?.(extensions);
    } catch {
        // Then layers of other browsers do without.
    }
}

/** @param {VideoChoice} choice @param {MediaStreamTrack | null} track */
function layered({ codec, layers }, track) {
    if (layers !== "simulcast") return [{ maxBitrate: layeredBitrate, scalabilityMode: layers }];
    // H.264 is mostly encoded by hardware, which knows no layers.
    return simulcast(track).map((size) => (codec === "h264" ? size : { ...size, scalabilityMode: frameRates }));
}

/**
 * @param {RTCPeerConnection} peer
 * @param {MediaStreamTrack | null} track
 * @param {RTCRtpEncodingParameters[]} sendEncodings
 * @returns {RTCRtpTransceiver | null} null when the browser refuses such encodings
 */
function add(peer, track, sendEncodings) {
    try {
        return peer.addTransceiver(track ?? "video", { direction: "sendonly", sendEncodings });
    } catch {
        return null;
    }
}

/**
 * A browser that knows nothing of scalability modes forgets them, and would send one size only.
 * @param {RTCRtpTransceiver} transceiver
 * @param {VideoChoice} choice
 */
function keeps(transceiver, { layers }) {
    if (layers === "simulcast") return true;
    return transceiver.sender.getParameters().encodings[0]?.scalabilityMode === layers;
}

/** @param {string} codec */
function canSend(codec) {
    const codecs = RTCRtpSender.getCapabilities?.("video")?.codecs;
    return !codecs || codecs.some((known) => isNamed(known, codec));
}

/**
 * @param {RTCRtpTransceiver} transceiver
 * @param {string} codec
 */
function preferCodec(transceiver, codec) {
    // The browser checks preferences against what it can receive, also for a section that only sends.
    const codecs = RTCRtpReceiver.getCapabilities?.("video")?.codecs;
    if (!codecs || !transceiver.setCodecPreferences) return;
    const first = codecs.filter((known) => isNamed(known, codec));
    const rest = codecs.filter((known) => !isNamed(known, codec));
    try {
        transceiver.setCodecPreferences([...first, ...rest]);
    } catch {
        // The browser's own order does as well.
    }
}

/** @param {{ mimeType: string }} known @param {string} codec */
const isNamed = (known, codec) => known.mimeType.toLowerCase() === `video/${codec}`;
