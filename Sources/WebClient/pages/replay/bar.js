// The bar of a replay: where one is, the sound as a waveform, marks of what happened, a look ahead under the mouse.

import { h, setAttribute, setText } from "../shared/dom.js";
import { clock as clockWords } from "../shared/format.js";

/** @typedef {import("./timeline.js").Mark} Mark */

/**
 * Lanes from top to bottom, so that marks of different kinds do not cover one another.
 * @type {Mark["kind"][]}
 */
const lanes = ["chat", "floor", "viewport", "people", "spotlight", "recording"];

export class Bar {
    #dragging = false;
    #hovered = -1;

    /**
     * @param {{ duration: number, marks: Mark[], peaks: number[], interval: number,
     *     thumbnail: (t: number) => string | null, seek: (t: number) => void }} what `interval`: seconds between peaks
     */
    constructor(what) {
        this.what = what;
        this.canvas = h("canvas", { class: "bar-canvas", "aria-hidden": "true" });
        this.played = h("div", { class: "bar-played" });
        this.knob = h("div", { class: "bar-knob" });
        this.marksLayer = h("div", { class: "bar-marks", "aria-hidden": "true" });
        this.hintImage = h("img", { alt: "", hidden: true });
        this.hintTime = h("span", { class: "numeric" });
        this.hintWords = h("span", { class: "bar-hint-words" });
        this.hint = h("div", { class: "bar-hint", hidden: true }, this.hintImage, this.hintTime, this.hintWords);
        this.element = h(
            "div",
            {
                class: "bar", role: "slider", tabIndex: 0, "aria-label": "Position in the recording", "aria-valuemin": "0",
                "aria-valuemax": String(Math.round(what.duration)), "aria-orientation": "horizontal",
            },
            this.canvas, this.played, this.marksLayer, this.knob, this.hint,
        );
        this.#placeMarks();
        this.element.addEventListener("pointerdown", (event) => this.#down(event));
        this.element.addEventListener("pointermove", (event) => this.#move(event));
        this.element.addEventListener("pointerup", (event) => this.#up(event));
        this.element.addEventListener("pointercancel", () => (this.#dragging = false));
        this.element.addEventListener("pointerleave", () => this.#hover(-1));
        this.resizing = new ResizeObserver(() => this.draw());
        this.resizing.observe(this.element);
        this.themes = new MutationObserver(() => this.draw());
        this.themes.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    }

    /** @param {number[]} peaks @param {number} interval seconds */
    setPeaks(peaks, interval) {
        this.what.peaks = peaks;
        this.what.interval = interval;
        this.draw();
    }

    #placeMarks() {
        const { duration, marks } = this.what;
        for (const mark of marks) {
            const dot = h("i", { class: "bar-mark", data: { kind: mark.kind } });
            dot.style.setProperty("left", `${(100 * mark.t) / Math.max(duration, 0.001)}%`);
            dot.style.setProperty("--lane", String(lanes.indexOf(mark.kind)));
            this.marksLayer.append(dot);
        }
    }

    /** @param {number} t */
    show(t) {
        const { duration } = this.what;
        const part = `${(100 * t) / Math.max(duration, 0.001)}%`;
        this.played.style.setProperty("width", part);
        this.knob.style.setProperty("left", part);
        setAttribute(this.element, "aria-valuenow", String(Math.round(t)));
        setAttribute(this.element, "aria-valuetext", `${clockWords(t)} of ${clockWords(duration)}`);
    }

    draw() {
        const width = Math.round(this.element.clientWidth * devicePixelRatio);
        const height = Math.round(this.element.clientHeight * devicePixelRatio);
        if (width === 0 || height === 0) return;
        if (this.canvas.width !== width || this.canvas.height !== height) {
            this.canvas.width = width;
            this.canvas.height = height;
        }
        const context = this.canvas.getContext("2d");
        if (!context) return;
        context.clearRect(0, 0, width, height);
        const { peaks, interval, duration } = this.what;
        if (peaks.length === 0) return;
        context.fillStyle = getComputedStyle(this.element).getPropertyValue("--line-strong").trim() || "#46515d";
        const step = Math.max(2, Math.round(2 * devicePixelRatio));
        for (let x = 0; x < width; x += step) {
            const from = Math.floor(((x / width) * duration) / interval);
            const to = Math.max(from + 1, Math.floor((((x + step) / width) * duration) / interval));
            let peak = 0;
            for (let index = from; index < to && index < peaks.length; index += 1) peak = Math.max(peak, peaks[index] ?? 0);
            // Loudness is heard as a power law, so quiet speech is seen, too.
            const size = Math.max(devicePixelRatio, Math.pow(peak / 255, 0.6) * height * 0.8);
            context.fillRect(x, (height - size) / 2, step - devicePixelRatio / 2, size);
        }
    }

    /** @param {PointerEvent} event */
    #time(event) {
        const box = this.element.getBoundingClientRect();
        const part = Math.min(1, Math.max(0, (event.clientX - box.left) / Math.max(1, box.width)));
        return part * this.what.duration;
    }

    /** @param {PointerEvent} event */
    #down(event) {
        if (event.button !== 0) return;
        this.#dragging = true;
        this.element.setPointerCapture(event.pointerId);
        this.element.focus();
        this.what.seek(this.#snapped(this.#time(event)));
    }

    /** @param {PointerEvent} event */
    #move(event) {
        const t = this.#time(event);
        this.#hover(t);
        if (this.#dragging) this.what.seek(t);
    }

    /** @param {PointerEvent} event */
    #up(event) {
        this.#dragging = false;
        this.element.releasePointerCapture(event.pointerId);
    }

    /**
     * The mark under the finger, where there is one.
     * @param {number} t
     */
    #snapped(t) {
        return this.#near(t)?.t ?? t;
    }

    /** @param {number} t */
    #near(t) {
        const tolerance = (this.what.duration * 5) / Math.max(1, this.element.clientWidth);
        let best = /** @type {Mark | null} */ (null);
        for (const mark of this.what.marks) {
            const distance = Math.abs(mark.t - t);
            if (distance < tolerance && (!best || distance < Math.abs(best.t - t))) best = mark;
        }
        return best;
    }

    /** @param {number} t below 0: nothing */
    #hover(t) {
        if (t === this.#hovered) return;
        this.#hovered = t;
        this.hint.hidden = t < 0;
        if (t < 0) return;
        setText(this.hintTime, clockWords(t));
        setText(this.hintWords, this.#near(t)?.words ?? "");
        const source = this.what.thumbnail(t);
        this.hintImage.hidden = source === null;
        if (source && this.hintImage.getAttribute("src") !== source) this.hintImage.src = source;
        const width = this.element.clientWidth;
        const half = this.hint.offsetWidth / 2;
        const x = Math.min(width - half, Math.max(half, (t / Math.max(this.what.duration, 0.001)) * width));
        this.hint.style.setProperty("left", `${x}px`);
    }

    destroy() {
        this.resizing.disconnect();
        this.themes.disconnect();
    }
}
