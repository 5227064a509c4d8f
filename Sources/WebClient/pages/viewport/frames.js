// Decoded frames of one series: fetched in the order in which they will be wanted, kept within a budget.

import { decodeFrame } from "./decode.js";
import { reason } from "./series.js";

/** @typedef {import("./decode.js").Frame} Frame */
/** @typedef {import("./series.js").ImageInfo} ImageInfo */

/** Shared by all viewports of a page: decoding is short, two workers keep up with scrolling. */
class Decoders {
    /** @type {Worker[]} */
    #workers = [];
    /** @type {Map<number, { resolve: (frame: Frame) => void, reject: (error: Error) => void }>} */
    #waiting = new Map();
    #next = 0;

    /** @param {ArrayBuffer} coded @returns {Promise<Frame>} */
    decode(coded) {
        if (this.#workers.length === 0) this.#start();
        const worker = this.#workers[this.#next % this.#workers.length];
        if (!worker) return decodeFrame(coded);
        const id = this.#next++;
        return new Promise((resolve, reject) => {
            this.#waiting.set(id, { resolve, reject });
            worker.postMessage({ id, coded }, [coded]);
        });
    }

    #start() {
        try {
            for (let count = 0; count < 2; count += 1) {
                const worker = new Worker(new URL("./decode.js", import.meta.url), { type: "module" });
                worker.onmessage = ({ data }) => {
                    const waiting = this.#waiting.get(data.id);
                    this.#waiting.delete(data.id);
                    if (data.frame) waiting?.resolve(data.frame);
                    else waiting?.reject(new Error(data.error));
                };
                worker.onerror = () => this.#fail();
                this.#workers.push(worker);
            }
        } catch {
            this.#workers = [];
        }
    }

    #fail() {
        this.#workers.forEach((worker) => worker.terminate());
        this.#workers = [];
        this.#waiting.forEach(({ reject }) => reject(new Error("the image decoder could not be started")));
        this.#waiting.clear();
    }
}

const decoders = new Decoders();

/** One more than the prefetch may use, so that a slice somebody waits for never queues behind it. */
const maximumRequests = 4;
const attempts = 4;

export class FrameStore {
    /** @type {Map<number, Frame>} */
    #frames = new Map();
    /** @type {Map<number, AbortController>} */
    #loading = new Map();
    /** @type {Map<number, string>} */
    #failed = new Map();
    /** @type {Map<number, number>} */
    #tries = new Map();
    #bytes = 0;
    #focus = 0;
    #direction = 1;
    #isClosed = false;

    /**
     * @param {ImageInfo[]} images
     * @param {(path: string, options?: { signal: AbortSignal }) => Promise<Response>} fetch
     * @param {(index: number) => void} onChange a frame has come, or will never come
     * @param {number} budget bytes of decoded samples
     */
    constructor(images, fetch, onChange, budget) {
        this.images = images;
        this.fetch = fetch;
        this.onChange = onChange;
        this.budget = budget;
        images.forEach((image, index) => {
            if (image.reason) this.#failed.set(index, image.reason);
        });
    }

    /** @param {number} index @returns {Frame | undefined} */
    get(index) {
        return this.#frames.get(index);
    }

    /**
     * Why a frame will not come.
     * @param {number} index @returns {string | undefined}
     */
    failure(index) {
        return this.#failed.get(index);
    }

    /** @param {number} index */
    has(index) {
        return this.#frames.has(index);
    }

    get loaded() {
        return this.#frames.size;
    }

    get bytes() {
        return this.#bytes;
    }

    /**
     * The loaded frame of the same size nearest to `index`, -1 when there is none.
     * @param {number} index @returns {number}
     */
    nearest(index) {
        const { columns, rows } = this.images[index];
        for (let distance = 1; distance < this.images.length; distance += 1) {
            for (const candidate of [index - this.#direction * distance, index + this.#direction * distance]) {
                const frame = this.#frames.get(candidate);
                if (frame && frame.columns === columns && frame.rows === rows) return candidate;
            }
        }
        return -1;
    }

    /**
     * Somebody looks at `index`: it comes first, then its neighbours, more of them in the direction of scrolling.
     * @param {number} index
     */
    focus(index) {
        if (index !== this.#focus) this.#direction = index > this.#focus ? 1 : -1;
        this.#focus = index;
        if (!this.#frames.has(index) && !this.#loading.has(index) && this.#loading.size >= maximumRequests) {
            let farthest = -1;
            for (const candidate of this.#loading.keys()) {
                if (farthest < 0 || Math.abs(candidate - index) > Math.abs(farthest - index)) farthest = candidate;
            }
            this.#loading.get(farthest)?.abort();
            this.#loading.delete(farthest);
        }
        this.#pump();
    }

    /** Tries again what has failed for want of a network. */
    retry() {
        this.#tries.clear();
        this.#pump();
    }

    close() {
        this.#isClosed = true;
        this.#loading.forEach((controller) => controller.abort());
        this.#loading.clear();
        this.#frames.clear();
    }

    /**
     * Indices in the order in which they are wanted, as many as the budget holds.
     * @returns {Generator<number>}
     */
    *#wanted() {
        const count = this.images.length;
        const image = this.images[this.#focus];
        const size = image ? image.columns * image.rows * (image.photometric === "RGB" ? 3 : 2) : 1;
        const capacity = Math.max(1, Math.floor(this.budget / size));
        let given = 1;
        yield this.#focus;
        let [ahead, behind] = [1, 1];
        while (given < capacity && (ahead < count || behind < count)) {
            for (const step of [ahead, ahead + 1, -behind]) {
                const index = this.#focus + step * this.#direction;
                if (index < 0 || index >= count || given >= capacity) continue;
                given += 1;
                yield index;
            }
            ahead += 2;
            behind += 1;
        }
    }

    #pump() {
        if (this.#isClosed) return;
        for (const index of this.#wanted()) {
            const limit = index === this.#focus ? maximumRequests : maximumRequests - 1;
            if (this.#loading.size >= limit) return;
            if (this.#frames.has(index) || this.#loading.has(index) || this.#failed.has(index)) continue;
            void this.#load(index);
        }
    }

    /** @param {number} index */
    async #load(index) {
        const { sop, frame } = this.images[index];
        const controller = new AbortController();
        this.#loading.set(index, controller);
        let failure = "";
        let isFinal = false;
        try {
            const response = await this.fetch(`/v1/imaging/frames/${encodeURIComponent(sop)}/${frame}`, { signal: controller.signal });
            if (response.ok) {
                const decoded = await decoders.decode(await response.arrayBuffer());
                if (!this.#isClosed) this.#keep(index, decoded);
            } else {
                failure = await reason(response);
                isFinal = response.status >= 400 && response.status < 500 && response.status !== 429;
            }
        } catch (error) {
            failure = error instanceof Error ? error.message : String(error);
        }
        const isCurrent = this.#loading.get(index) === controller;
        if (isCurrent) this.#loading.delete(index);
        if (this.#isClosed) return;
        if (failure && isCurrent) {
            const tries = (this.#tries.get(index) ?? 0) + 1;
            this.#tries.set(index, tries);
            if (isFinal || tries >= attempts) {
                this.#failed.set(index, failure);
                this.onChange(index);
            } else {
                // The network may come back; meanwhile this one waits its turn.
                this.#loading.set(index, controller);
                await new Promise((resolve) => setTimeout(resolve, 250 * 2 ** tries));
                if (this.#loading.get(index) === controller) this.#loading.delete(index);
            }
        } else if (!failure) {
            this.onChange(index);
        }
        this.#pump();
    }

    /** @param {number} index @param {Frame} frame */
    #keep(index, frame) {
        this.#failed.delete(index);
        this.#bytes += frame.samples.byteLength - (this.#frames.get(index)?.samples.byteLength ?? 0);
        this.#frames.set(index, frame);
        while (this.#bytes > this.budget && this.#frames.size > 1) {
            let farthest = -1;
            for (const candidate of this.#frames.keys()) {
                if (candidate === this.#focus) continue;
                if (farthest < 0 || Math.abs(candidate - this.#focus) > Math.abs(farthest - this.#focus)) farthest = candidate;
            }
            this.#bytes -= this.#frames.get(farthest)?.samples.byteLength ?? 0;
            this.#frames.delete(farthest);
        }
    }
}
