// What a canvas really shows, read back for tests: grey values with the image coordinates they stand for.

const perSide = 24;

/**
 * @param {Uint8Array | Uint8ClampedArray} pixels of the whole canvas, RGBA
 * @param {{ width: number, height: number }} canvas
 * @param {{ toImage(x: number, y: number): number[] }} view
 */
export function sampleCanvas(pixels, { width, height }, view) {
    const samples = [];
    for (let row = 0; row < perSide; row += 1) {
        for (let column = 0; column < perSide; column += 1) {
            const cx = Math.floor(((column + 0.5) * width) / perSide);
            const cy = Math.floor(((row + 0.5) * height) / perSide);
            const [x, y] = view.toImage(cx + 0.5, cy + 0.5);
            samples.push({ x, y, grey: pixels[4 * (cy * width + cx)] });
        }
    }
    return samples;
}
