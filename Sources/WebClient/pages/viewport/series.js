// A series as /v1/imaging/series/{uid} describes it: every image with all its attributes, in display order.

/**
 * @typedef {object} Voi
 * @property {number} center in modality units
 * @property {number} width
 * @property {"LINEAR" | "LINEAR_EXACT" | "SIGMOID"} function
 * @property {string} [explanation]
 */

/**
 * One frame of one SOP instance; see `ImageAttributes` in the server's Imaging module.
 * @typedef {object} ImageInfo
 * @property {string} sop
 * @property {number} frame from 1
 * @property {number} columns
 * @property {number} rows
 * @property {string} photometric MONOCHROME1, MONOCHROME2 or RGB
 * @property {{ slope: number, intercept: number, type: string }} [rescale]
 * @property {Voi[]} [windows]
 * @property {[number, number]} [pixelSpacing] millimetres between rows, between columns
 * @property {[number, number]} [pixelAspect] height and width of a pixel
 * @property {[number, number, number]} [position] centre of the first pixel, patient millimetres
 * @property {[number, number, number, number, number, number]} [orientation]
 * @property {number} [number]
 * @property {string[]} [notes]
 * @property {string} [reason] why it cannot be shown
 */

export class Series {
    /** @param {any} detail the server's answer */
    constructor(detail) {
        /** @type {string} */
        this.study = detail.study;
        /** @type {string} */
        this.series = detail.series;
        /** @type {string} */
        this.modality = detail.modality ?? "";
        /** @type {string} */
        this.description = detail.description ?? "";
        /** @type {ImageInfo[]} */
        this.images = detail.images.map((/** @type {any} */ own) => ({ ...detail.shared, ...own }));
        /** @type {Map<string, number>} */
        this.positions = new Map(this.images.map((image, index) => [`${image.sop}/${image.frame}`, index]));
    }

    /** @param {{ sop: string, frame: number } | null | undefined} image @returns {number} -1 when it is not here */
    indexOf(image) {
        return image ? this.positions.get(`${image.sop}/${image.frame}`) ?? -1 : -1;
    }

    /** Where everybody starts: in the middle of a stack of slices, at the beginning of a cine. */
    get first() {
        const [head, tail] = [this.images[0], this.images[this.images.length - 1]];
        const isStack = head?.position && tail?.position && head.position.join() !== tail.position.join();
        return isStack ? Math.floor(this.images.length / 2) : 0;
    }
}

/**
 * @param {(path: string) => Promise<Response>} fetch
 * @param {string} uid
 * @returns {Promise<Series>}
 */
export async function loadSeries(fetch, uid) {
    const response = await fetch(`/v1/imaging/series/${encodeURIComponent(uid)}`);
    if (!response.ok) throw new Error(await reason(response));
    return new Series(await response.json());
}

/**
 * The server's words for a refusal.
 * @param {Response} response @returns {Promise<string>}
 */
export async function reason(response) {
    try {
        const message = (await response.json())?.error?.message;
        if (typeof message === "string" && message) return message;
    } catch {
        // No JSON: the status must do.
    }
    return `the server answered ${response.status}`;
}
