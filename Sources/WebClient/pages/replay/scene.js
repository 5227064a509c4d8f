// Decides which tiles a replay shows, from the recorded files, the room's state and the viewer's wishes. Pure.

import { early } from "./media-track.js";

/** @typedef {import("./media-track.js").MediaTrack} MediaTrack */
/** @typedef {import("../shared/room-state.js").RoomState} RoomState */
/** @typedef {import("../room/scene.js").Tile} Tile */
/** @typedef {"stage" | "grid" | "side"} Layout */

/**
 * Clinical content first, as in the live room.
 * @type {Record<string, number>}
 */
const weights = { surgicalField: 50, imaging: 45, document: 40, panorama: 30, vitals: 20, camera: 0 };

/** A picture keeps its place for so long after its file ended: another file of it may follow. */
const keepSeconds = 1.5;

/** @param {Partial<Tile> & { key: string, kind: Tile["kind"] }} some @returns {Tile} */
function tile(some) {
    return { participant: "", stream: "", viewport: "", role: "camera", label: "", self: false, whole: false, weight: 0, ...some };
}

/**
 * @param {RoomState} state
 * @param {MediaTrack[]} tracks
 * @param {number} t
 * @returns {Tile[]} viewports first, then people in the order in which they came
 */
export function tiles(state, tracks, t) {
    /** @type {Tile[]} */
    const all = [];
    for (const viewport of Object.keys(state.viewports)) {
        all.push(tile({ key: `viewport:${viewport}`, kind: "viewport", viewport, role: "imaging", whole: true, weight: 60 }));
    }
    const seen = new Set();
    const people = new Set(Object.keys(state.participants).filter((id) => state.participants[id]?.status !== "waiting"));
    const videos = tracks.filter((media) => media.track.kind === "video" && t >= media.start - early && t < media.end + keepSeconds);
    for (const media of videos) people.add(media.track.participant);
    for (const participant of people) {
        let hasFace = false;
        for (const { track } of videos.filter((media) => media.track.participant === participant)) {
            const key = `${participant}/${track.stream}`;
            if (seen.has(key)) continue;
            seen.add(key);
            const whole = track.role !== "camera";
            if (!whole) hasFace = true;
            const label = state.participants[participant]?.streams[track.stream]?.label ?? "";
            all.push(tile({ key, kind: "stream", participant, stream: track.stream, role: track.role, label, whole, weight: weights[track.role] ?? 0 }));
        }
        if (!hasFace && !state.participants[participant]?.device) {
            all.push(tile({ key: `${participant}/`, kind: "person", participant }));
        }
    }
    return all;
}

/**
 * @param {RoomState} state
 * @param {Tile[]} all
 * @param {{ layout: Layout, pinned: string | null }} wishes
 * @returns {{ stage: Tile[], strip: Tile[] }}
 */
export function arrangeScene(state, all, { layout, pinned }) {
    const split = (/** @type {Tile[]} */ stage) => ({ stage, strip: all.filter((one) => !stage.includes(one)) });
    if (layout === "grid" || all.length < 2) return { stage: [...all].sort((a, b) => b.weight - a.weight), strip: [] };
    const pin = all.find((one) => one.key === pinned);
    const viewports = all.filter((one) => one.kind === "viewport");
    const spotlight = state.spotlight;
    const lit = spotlight && all.find((one) => one.key === `${spotlight.participant}/${spotlight.stream}`);
    const clinical = all.filter((one) => one.weight > 0 && one.kind === "stream").sort((a, b) => b.weight - a.weight);
    const holder = all.find((one) => one.participant !== "" && one.participant === state.floor.holder);
    const best = lit ?? clinical[0] ?? holder ?? all.find((one) => one.kind === "stream") ?? all[0];
    if (layout === "side") {
        // Two things side by side: the images and what goes with them, or the two that matter most.
        const first = pin ?? viewports[0] ?? best;
        const second = [best, clinical[0], holder, ...all].find((one) => one && one !== first);
        return split([first, second].flatMap((one) => (one ? [one] : [])));
    }
    if (pin) return split([pin]);
    if (lit) return split(lit.whole && viewports[0] ? [viewports[0], lit] : [lit]);
    if (viewports.length > 0) return split(viewports.slice(0, 2));
    return split(best ? [best] : []);
}
