// Coded frames to samples: the format is in Sources/Imaging/Pixels/FORMAT.md. Runs as a worker; importable for tests.

/**
 * @typedef {object} Frame
 * @property {"unsigned" | "signed" | "rgb"} kind
 * @property {number} columns
 * @property {number} rows
 * @property {number} min smallest stored value
 * @property {number} max
 * @property {Uint16Array | Int16Array | Uint8Array} samples RGB: three bytes a pixel
 */

const headerLength = 32;
const kinds = /** @type {const} */ (["unsigned", "signed", "rgb"]);

/** @param {ArrayBuffer} coded @returns {Promise<Frame>} */
export async function decodeFrame(coded) {
    const view = new DataView(coded);
    if (coded.byteLength < headerLength || view.getUint32(0) !== 0x43465231) throw new Error("not a coded frame");
    const kind = kinds[view.getUint8(4)];
    const [columns, rows] = [view.getUint32(8, true), view.getUint32(12, true)];
    const count = columns * rows;
    const planesLength = view.getUint32(28, true);
    if (!kind || view.getUint8(5) !== 1 || columns > 65535 || rows > 65535 || planesLength !== count * (kind === "rgb" ? 3 : 2)) {
        throw new Error("a coded frame of an unknown kind");
    }
    const planes = await inflate(new Uint8Array(coded, headerLength), planesLength);
    const samples = kind === "rgb" ? decodeRGB(planes, columns, count)
        : decodeGrey(planes, columns, kind === "signed" ? new Int16Array(count) : new Uint16Array(count));
    const bytes = new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
    if (crc32(bytes) !== view.getUint32(24, true)) throw new Error("the image's checksum does not match");
    return { kind, columns, rows, min: view.getInt32(16, true), max: view.getInt32(20, true), samples };
}

/**
 * @param {Uint8Array} deflated @param {number} length
 * @returns {Promise<Uint8Array>}
 */
async function inflate(deflated, length) {
    const Decompression = /** @type {any} */ (globalThis).DecompressionStream;
    const stream = new Blob([deflated]).stream().pipeThrough(new Decompression("deflate-raw"));
    const reader = stream.getReader();
    const planes = new Uint8Array(length);
    let filled = 0;
    for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        if (filled + value.length > length) throw new Error("more pixels than the image has");
        planes.set(value, filled);
        filled += value.length;
    }
    if (filled !== length) throw new Error("fewer pixels than the image has");
    return planes;
}

/**
 * Median edge prediction undone; the array's type makes the sum wrap as the samples do.
 * @template {Uint16Array | Int16Array} Samples
 * @param {Uint8Array} planes @param {number} columns @param {Samples} samples @returns {Samples}
 */
function decodeGrey(planes, columns, samples) {
    const count = samples.length;
    let left = 0;
    for (let index = 0; index < columns; index += 1) {
        const zigzag = planes[index] | (planes[count + index] << 8);
        samples[index] = left + ((zigzag >>> 1) ^ -(zigzag & 1));
        left = samples[index];
    }
    for (let start = columns; start < count; start += columns) {
        let corner = samples[start - columns];
        left = corner;
        for (let index = start, end = start + columns; index < end; index += 1) {
            const above = samples[index - columns];
            const zigzag = planes[index] | (planes[count + index] << 8);
            const smaller = left < above ? left : above;
            const larger = left < above ? above : left;
            const predicted = corner >= larger ? smaller : corner <= smaller ? larger : left + above - corner;
            samples[index] = predicted + ((zigzag >>> 1) ^ -(zigzag & 1));
            left = samples[index];
            corner = above;
        }
    }
    return samples;
}

/** @param {Uint8Array} planes @param {number} columns @param {number} count @returns {Uint8Array} */
function decodeRGB(planes, columns, count) {
    const samples = new Uint8Array(3 * count);
    const plane = new Uint8Array(count);
    for (let channel = 0; channel < 3; channel += 1) {
        for (let start = 0; start < count; start += columns) {
            let left = start === 0 ? 0 : plane[start - columns];
            let corner = left;
            for (let index = start, end = start + columns; index < end; index += 1) {
                const above = start === 0 ? left : plane[index - columns];
                if (start === 0) corner = left;
                const zigzag = planes[channel * count + index];
                const smaller = left < above ? left : above;
                const larger = left < above ? above : left;
                const predicted = corner >= larger ? smaller : corner <= smaller ? larger : left + above - corner;
                plane[index] = predicted + ((zigzag >>> 1) ^ -(zigzag & 1));
                samples[3 * index + channel] = plane[index];
                left = plane[index];
                corner = above;
            }
        }
    }
    return samples;
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
    return value >>> 0;
});

/** @param {Uint8Array} bytes @returns {number} */
function crc32(bytes) {
    let crc = 0xffffffff;
    for (let index = 0; index < bytes.length; index += 1) crc = crcTable[(crc ^ bytes[index]) & 0xff] ^ (crc >>> 8);
    return (crc ^ 0xffffffff) >>> 0;
}

const scope = /** @type {any} */ (globalThis);
if (scope.WorkerGlobalScope && scope instanceof scope.WorkerGlobalScope) {
    scope.onmessage = async (/** @type {MessageEvent<{ id: number, coded: ArrayBuffer }>} */ { data: { id, coded } }) => {
        try {
            const frame = await decodeFrame(coded);
            scope.postMessage({ id, frame }, [frame.samples.buffer]);
        } catch (error) {
            scope.postMessage({ id, error: error instanceof Error ? error.message : String(error) });
        }
    };
}
