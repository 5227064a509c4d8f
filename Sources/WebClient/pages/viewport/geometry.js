// Image pixels, patient millimetres and canvas pixels: pure functions between them.
//
// Image coordinates: the corner of the first pixel is 0,0, its centre 0.5,0.5. Canvas coordinates: device pixels from the
// top left. The state of a viewport holds only the first two, so that screens of any size show the same anatomy.

/** @typedef {import("./series.js").ImageInfo} ImageInfo */
/** @typedef {{ left: number, top: number, right: number, bottom: number }} Area */
/** @typedef {{ rotation: 0 | 90 | 180 | 270, flipHorizontal: boolean }} Orientation */
/** @typedef {[number, number, number]} Vector */

/**
 * Height of a pixel divided by its width.
 * @param {ImageInfo} image @returns {number}
 */
export function pixelAspect(image) {
    const pair = image.pixelSpacing ?? image.pixelAspect;
    return pair ? pair[0] / pair[1] : 1;
}

/** @param {ImageInfo} image @returns {Area} */
export function wholeImage(image) {
    return { left: 0, top: 0, right: image.columns, bottom: image.rows };
}

/**
 * What lies where when `area` is shown whole, as large as possible, in a canvas of `width` × `height` (GSPS: scale to fit).
 */
export class View {
    /**
     * @param {ImageInfo} image
     * @param {Area} area
     * @param {Orientation} orientation clockwise rotation first, then the flip, as in GSPS
     * @param {number} width
     * @param {number} height
     */
    constructor(image, area, orientation, width, height) {
        const aspect = pixelAspect(image);
        const turned = orientation.rotation % 180 !== 0;
        const across = area.right - area.left;
        const down = (area.bottom - area.top) * aspect;
        this.width = width;
        this.height = height;
        /** Canvas pixels per image column. */
        this.scale = Math.min(width / (turned ? down : across), height / (turned ? across : down));
        const [cosine, sine] = /** @type {const} */ ([[1, 0], [0, 1], [-1, 0], [0, -1]])[orientation.rotation / 90];
        const mirror = orientation.flipHorizontal ? -1 : 1;
        // Canvas = centre + matrix · (image - middle of the area).
        this.xx = this.scale * cosine * mirror;
        this.xy = -this.scale * aspect * sine * mirror;
        this.yx = this.scale * sine;
        this.yy = this.scale * aspect * cosine;
        this.middleX = (area.left + area.right) / 2;
        this.middleY = (area.top + area.bottom) / 2;
        this.determinant = this.xx * this.yy - this.xy * this.yx;
    }

    /** @param {number} x @param {number} y image coordinates @returns {[number, number]} */
    toCanvas(x, y) {
        const [dx, dy] = [x - this.middleX, y - this.middleY];
        return [this.width / 2 + this.xx * dx + this.xy * dy, this.height / 2 + this.yx * dx + this.yy * dy];
    }

    /** @param {number} x @param {number} y canvas coordinates @returns {[number, number]} */
    toImage(x, y) {
        const [dx, dy] = this.toImageDirection(x - this.width / 2, y - this.height / 2);
        return [this.middleX + dx, this.middleY + dy];
    }

    /** @param {number} dx @param {number} dy @returns {[number, number]} */
    toImageDirection(dx, dy) {
        return [
            (this.yy * dx - this.xy * dy) / this.determinant,
            (this.xx * dy - this.yx * dx) / this.determinant,
        ];
    }

    /**
     * The image rectangle behind the whole canvas.
     * @returns {Area}
     */
    get visible() {
        const [ax, ay] = this.toImage(0, 0);
        const [bx, by] = this.toImage(this.width, this.height);
        return { left: Math.min(ax, bx), top: Math.min(ay, by), right: Math.max(ax, bx), bottom: Math.max(ay, by) };
    }
}

/**
 * Patient coordinates of an image point (PS3.3 C.7.6.2.1.1); Image Position is the centre of the first pixel.
 * @param {ImageInfo} image @param {number} x @param {number} y @returns {Vector | null}
 */
export function patientPoint(image, x, y) {
    const { position, orientation, pixelSpacing } = image;
    if (!position || !orientation || !pixelSpacing) return null;
    const along = (x - 0.5) * pixelSpacing[1];
    const down = (y - 0.5) * pixelSpacing[0];
    return /** @type {Vector} */ (
        [0, 1, 2].map((axis) => position[axis] + along * orientation[axis] + down * orientation[axis + 3])
    );
}

/**
 * Which way in the patient a direction on the canvas points; null without geometry.
 * @param {ImageInfo} image @param {View} view @param {number} dx @param {number} dy @returns {Vector | null}
 */
export function patientDirection(image, view, dx, dy) {
    const { orientation } = image;
    if (!orientation) return null;
    const [ix, iy] = view.toImageDirection(dx, dy);
    const [along, down] = [ix, iy * pixelAspect(image)];
    const length = Math.hypot(along, down) || 1;
    return /** @type {Vector} */ (
        [0, 1, 2].map((axis) => (along * orientation[axis] + down * orientation[axis + 3]) / length)
    );
}

/**
 * A, P, L, R, H, F, the strongest first, weaker ones only when they matter (PS3.3 C.7.6.1.1.1).
 * @param {Vector | null} direction @returns {string}
 */
export function letters(direction) {
    if (!direction) return "";
    const names = [["L", "R"], ["P", "A"], ["H", "F"]];
    return direction
        .map((part, axis) => ({ size: Math.abs(part), letter: names[axis][part > 0 ? 0 : 1] }))
        .filter(({ size }) => size > 0.3)
        .sort((a, b) => b.size - a.size)
        .map(({ letter }) => letter)
        .join("");
}

/**
 * Millimetres along the normal.
 * @param {ImageInfo} image @returns {number | null}
 */
export function slicePosition(image) {
    const { position, orientation: o } = image;
    if (!position || !o) return null;
    const normal = [o[1] * o[5] - o[2] * o[4], o[2] * o[3] - o[0] * o[5], o[0] * o[4] - o[1] * o[3]];
    return position[0] * normal[0] + position[1] * normal[1] + position[2] * normal[2];
}
