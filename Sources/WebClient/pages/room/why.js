// Words for why a picture comes or goes out as it does.

/** @typedef {import("../shared/consilium").ExplainedStream} ExplainedStream */
/** @typedef {import("../shared/media-statistics.js").StreamStatistics} StreamStatistics */

/**
 * Of a picture that comes from somebody else, as the server explains it.
 * @param {Pick<ExplainedStream, "why" | "shown" | "layer" | "wanted">} stream
 */
export function whyReceived({ why, shown, layer, wanted }) {
    const place = shown ? ` (${shown.width}×${shown.height})` : "";
    switch (why) {
        case "best":
            return "Why: the best there is";
        case "viewport":
            return wanted ? `Why: as large as it is shown here${place}` : "Why: not sent, because it is not shown here";
        case "bandwidth":
            return wanted ? "Why: smaller than shown, because the connection carries no more" : "Why: paused, because the connection does not carry it";
        case "publisher":
            return layer ? "Why: the sender sends no larger picture" : "Why: nothing has come from the sender";
        case "decoder":
            return "Why: this browser decodes no better one";
        case "policy":
            return wanted ? "Why: the server is at its limit and sends faces smaller for now" : "Why: the server is at its limit and takes no further cameras";
        default:
            return "";
    }
}

/**
 * Of a picture of our own.
 * @param {Pick<StreamStatistics, "active" | "limitation">} stream
 */
export function whySent({ active, limitation }) {
    if (!active) return "Why: nobody looks at it in this size";
    switch (limitation) {
        case "bandwidth":
            return "Why: less than it could be, because the connection carries no more";
        case "cpu":
            return "Why: less than it could be, because this computer is busy";
        default:
            return "";
    }
}
