// Value-of-interest windows: the formula of PS3.3 C.11.2.1 in double precision, presets, and dragging.

/** @typedef {import("./series.js").Voi} Voi */

/**
 * Modality value to brightness, 0 to 1; the shader computes the same.
 * @param {Voi} voi @param {number} value @returns {number}
 */
export function brightness(voi, value) {
    const { center, width } = voi;
    switch (voi.function) {
        case "SIGMOID":
            return 1 / (1 + Math.exp((-4 * (value - center)) / width));
        case "LINEAR_EXACT":
            return clamp((value - center) / width + 0.5);
        default:
            if (width <= 1) return value <= center - 0.5 ? 0 : 1;
            return clamp((value - (center - 0.5)) / (width - 1) + 0.5);
    }
}

/** @param {number} value */
function clamp(value) {
    return Math.min(1, Math.max(0, value));
}

/** Usual windows for CT in HU; every series also has those of its files. */
const computedTomography = [
    { name: "Soft tissue", center: 40, width: 400 },
    { name: "Lung", center: -600, width: 1500 },
    { name: "Bone", center: 400, width: 1800 },
    { name: "Brain", center: 40, width: 80 },
    { name: "Liver", center: 60, width: 160 },
    { name: "Mediastinum", center: 50, width: 350 },
];

/**
 * @param {string} modality
 * @param {import("./series.js").ImageInfo | undefined} image
 * @returns {{ name: string, voi: Voi }[]} keys 1 … 9 in this order
 */
export function presets(modality, image) {
    const own = (image?.windows ?? []).map((window, index, all) => ({
        name: window.explanation === "automatic" ? "Automatic"
            : window.explanation || (all.length > 1 ? `From file ${index + 1}` : "From file"),
        voi: plain(window),
    }));
    const usual = modality === "CT" ? computedTomography : [];
    return [
        ...own,
        ...usual.map(({ name, center, width }) => ({ name, voi: plain({ center, width, function: "LINEAR" }) })),
    ].slice(0, 9);
}

/**
 * Only what is shared.
 * @param {Voi} voi @returns {Voi}
 */
export function plain(voi) {
    return { center: voi.center, width: voi.width, function: voi.function };
}

/**
 * Dragging: to the right widens, up brightens; in proportion to the width, so that it feels the same for HU and for MR.
 * @param {Voi} voi @param {number} dx @param {number} dy CSS pixels @returns {Voi}
 */
export function dragged(voi, dx, dy) {
    const narrowest = voi.function === "LINEAR" ? 1 : 1e-6;
    const width = Math.max(narrowest, tidy(voi.width * Math.exp(dx * 0.005), voi.width));
    const center = tidy(voi.center + dy * voi.width * 0.0025, voi.width);
    return { center, width, function: voi.function };
}

/**
 * Nobody wants a width of 403.71936; a narrow window needs its digits.
 * @param {number} value @param {number} width
 */
function tidy(value, width) {
    const digits = Math.max(0, 3 - Math.floor(Math.log10(Math.max(width, 1e-9))));
    return Number(value.toFixed(Math.min(digits, 12)));
}
