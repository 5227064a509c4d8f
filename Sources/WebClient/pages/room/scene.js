// Decides what is on the stage and what is in the strip. Pure: the room and the viewer's wishes in, a list of tiles out.

/** @typedef {import("./model.js").RoomModel} RoomModel */

/**
 * @typedef {object} Tile
 * @property {string} key
 * @property {"stream" | "person" | "viewport"} kind
 * @property {string} participant empty for a viewport
 * @property {string} stream empty for a person without a picture
 * @property {string} viewport
 * @property {string} role the stream's role
 * @property {string} label
 * @property {boolean} self
 * @property {boolean} whole the picture must be seen whole (documents, clinical pictures)
 * @property {number} weight how much it belongs on the stage by itself
 */

/** @typedef {{ stage: Tile[], strip: Tile[] }} Scene */

/** Clinical content first: what is shown outranks who is speaking. */
const weights = /** @type {Record<string, number>} */ ({
    surgicalField: 50, imaging: 45, document: 40, panorama: 30, vitals: 20, camera: 0,
});

/** @param {string} viewport */
export const viewportKey = (viewport) => `viewport:${viewport}`;

/**
 * @param {string} participant
 * @param {string} stream
 */
export const streamKey = (participant, stream) => `${participant}/${stream}`;

/**
 * Every tile there is, people in a steady order: oneself last, hands and speakers do not jump about.
 * @param {RoomModel} model
 * @returns {Tile[]}
 */
export function tiles(model) {
    /** @type {Tile[]} */
    const all = [];
    for (const viewport of Object.keys(model.state.viewports)) {
        all.push({
            key: viewportKey(viewport), kind: "viewport", participant: "", stream: "", viewport, role: "imaging", label: "Imaging",
            self: false, whole: true, weight: 60,
        });
    }
    const others = Object.keys(model.state.participants).filter((participant) => participant !== model.self);
    for (const participant of [...others, model.self]) {
        const person = model.state.participants[participant];
        if (!person || person.status === "waiting") continue;
        const self = participant === model.self;
        const videos = Object.entries(person.streams).filter(([, stream]) => stream.kind === "video");
        let face = false;
        for (const [stream, { role, label, muted }] of videos) {
            const whole = role !== "camera";
            if (!whole) face = true;
            const weight = muted || self ? -1 : weights[role] ?? 0;
            all.push({
                key: streamKey(participant, stream), kind: "stream", participant, stream, viewport: "", role, label, self, whole,
                weight,
            });
        }
        if (!face && !(person.device && videos.length > 0)) {
            all.push({
                key: streamKey(participant, ""), kind: "person", participant, stream: "", viewport: "", role: "camera", label: "", self,
                whole: false, weight: self ? -1 : 0,
            });
        }
    }
    return all;
}

/**
 * @param {RoomModel} model
 * @returns {Scene}
 */
export function describeScene(model) {
    const all = tiles(model);
    const shown = all.filter((tile) => !model.poppedOut.has(tile.key));
    const split = (/** @type {Tile[]} */ stage) => ({ stage, strip: all.filter((tile) => !stage.includes(tile)) });

    if (model.layout === "grid") return { stage: [...all].sort((a, b) => b.weight - a.weight), strip: [] };

    if (model.layout === "side") {
        const whose = model.focused ?? mainPerson(model, shown);
        const theirs = shown.filter((tile) => tile.participant === whose);
        if (theirs.length > 0) {
            theirs.sort((a, b) => b.weight - a.weight);
            const viewports = model.state.floor.holder === whose ? shown.filter((tile) => tile.kind === "viewport") : [];
            return split([...viewports, ...theirs]);
        }
    }

    const pinned = model.pinned.flatMap((key) => shown.filter((tile) => tile.key === key));
    if (pinned.length > 0) return split(pinned);

    const spotlight = model.state.spotlight;
    const spotlit = spotlight && shown.find((tile) => tile.key === streamKey(spotlight.participant, spotlight.stream));
    const viewports = shown.filter((tile) => tile.kind === "viewport");
    if (spotlit) return split(viewports.length > 0 && spotlit.whole ? [viewports[0], spotlit] : [spotlit]);
    if (viewports.length > 0) return split(viewports.slice(0, 2));

    const clinical = shown.filter((tile) => tile.weight > 0).sort((a, b) => b.weight - a.weight);
    if (clinical[0]) {
        // Panorama and surgical field, or two screens of one presenter, belong together.
        const beside = clinical.slice(1).find((tile) => tile.participant === clinical[0]?.participant);
        return split(beside ? [clinical[0], beside] : [clinical[0]]);
    }
    const person = mainPerson(model, shown);
    const face = shown.find((tile) => tile.participant === person);
    return face ? split([face]) : split(shown.slice(0, 1));
}

/**
 * Who is looked at when nothing is shown: the speaker, then who holds the floor, then the first with a picture, then anybody else.
 * @param {RoomModel} model
 * @param {Tile[]} shown
 */
function mainPerson(model, shown) {
    const others = shown.filter((tile) => tile.participant && !tile.self);
    const candidates = [model.activeSpeaker, model.state.floor.holder];
    for (const candidate of candidates) {
        if (candidate && others.some((tile) => tile.participant === candidate)) return candidate;
    }
    const withPicture = others.find((tile) => tile.kind === "stream");
    return (withPicture ?? others[0] ?? shown.find((tile) => tile.participant))?.participant ?? model.self;
}
