// What a viewport says about its image: in its corners, at its edges, and to a screen reader.

import { letters, patientDirection, slicePosition } from "./geometry.js";

const noLetters = { top: "", right: "", bottom: "", left: "" };

/**
 * @param {import("./series.js").Series | null} series
 * @param {import("./series.js").ImageInfo | undefined} image
 * @param {number} index
 * @param {import("./geometry.js").View | null} view
 * @param {import("./state.js").Patch} state
 * @param {string} words what stands there instead of an image
 */
export function caption(series, image, index, view, state, words) {
    if (!series || !image) {
        return { text: { title: "", slice: "", window: "", letters: noLetters, notes: [] }, spoken: "" };
    }
    const count = series.images.length;
    const position = slicePosition(image);
    const voi = image.photometric === "RGB" ? undefined : state.voi;
    const title = [series.modality, series.description].filter(Boolean).join(" · ");
    const side = (/** @type {number} */ dx, /** @type {number} */ dy) => (view ? letters(patientDirection(image, view, dx, dy)) : "");
    const window = voi ? `W ${short(voi.width)}  C ${short(voi.center)}` : "";
    const zoom = view ? `${Math.round((view.scale / devicePixelRatio) * 100)} %` : "";
    const spokenWindow = voi ? `, window ${short(voi.width)}, centre ${short(voi.center)}` : "";
    return {
        text: {
            title,
            slice: `${index + 1} / ${count}${position === null ? "" : `\n${position.toFixed(1)} mm`}`,
            window: [state.invert ? "inverted" : "", window, zoom].filter(Boolean).join("\n"),
            letters: words ? noLetters : { top: side(0, -1), right: side(1, 0), bottom: side(0, 1), left: side(-1, 0) },
            notes: image.notes ?? [],
        },
        spoken: `${title}, image ${index + 1} of ${count}${spokenWindow}`,
    };
}

/** @param {number} value */
function short(value) {
    return String(Number(value.toPrecision(Math.abs(value) >= 1000 ? 5 : 4)));
}
