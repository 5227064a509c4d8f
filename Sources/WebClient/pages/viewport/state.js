// What is shared of a viewport: in the patient and in image pixels, never on the screen. Each group is last-writer-wins.

/**
 * @typedef {object} Patch
 * @property {{ sop: string, frame: number }} [image]
 * @property {import("./geometry.js").Area} [area] image pixels; whoever follows shows all of it
 * @property {import("./geometry.js").Orientation} [orientation]
 * @property {import("./series.js").Voi} [voi] in modality units
 * @property {boolean} [invert]
 * @property {import("./geometry.js").Vector | null} [focalPoint] patient millimetres in the middle of the view
 * @property {import("./geometry.js").Vector | null} [viewUp]
 * @property {number | null} [parallelScale] half the height of the view in millimetres
 */

/** @typedef {Patch & { study: string, series: string }} State */

export const groups = /** @type {const} */ (["image", "area", "orientation", "voi", "invert", "focalPoint", "viewUp", "parallelScale"]);
