// A viewport: one series on one canvas, its state in image and patient coordinates, steered here or following somebody else.
//
//     const viewport = new Viewport(container, { fetch, onPatch, onPointer });
//     await viewport.open({ study, series });
//     viewport.apply(patchFromTheRoom);
//
// Every gesture changes what is shown at once and is told to `onPatch`: many times with `final: false`, then once with
// `final: true` and all that the gesture changed. Whoever follows and makes a gesture looks on alone from then on
// (event "following"); `setFollowing(true)` returns to what the room shows.

import { FrameStore } from "./frames.js";
import { patientDirection, patientPoint, pixelAspect, View, wholeImage } from "./geometry.js";
import { Gestures } from "./gestures.js";
import { Controls } from "./controls.js";
import { element, Overlay } from "./overlay.js";
import { caption } from "./caption.js";
import { Renderer } from "./render.js";
import { loadSeries } from "./series.js";
import { groups } from "./state.js";
import { dragged, plain, presets } from "./window.js";
import { sampleCanvas } from "./probe.js";

/** @typedef {import("./series.js").ImageInfo} ImageInfo */
/** @typedef {import("./series.js").Series} Series */
/** @typedef {import("./series.js").Voi} Voi */
/** @typedef {import("./geometry.js").Area} Area */
/** @typedef {import("./geometry.js").Orientation} Orientation */
/** @typedef {import("./geometry.js").Vector} Vector */
/** @typedef {import("./overlay.js").RemotePointer} RemotePointer */

/** @typedef {import("./state.js").Patch} Patch */
/** @typedef {import("./state.js").State} State */

/**
 * @typedef {object} Options
 * @property {(path: string, options?: { signal: AbortSignal }) => Promise<Response>} fetch
 * @property {(patch: Patch, options: { final: boolean }) => void} [onPatch]
 * @property {(pointer: { sop: string, frame: number, x: number | null, y: number | null }) => void} [onPointer] null: it has left
 * @property {number} [cacheBytes] decoded frames kept
 */

const patchInterval = 16;
const pointerInterval = 33;
const smallestArea = 4;
const largestArea = 8;

export class Viewport extends EventTarget {
    /** @type {Series | null} */
    #series = null;
    /** @type {FrameStore | null} */
    #frames = null;
    /**
     * What the room shows.
     * @type {State}
     */
    #shared = { study: "", series: "" };
    /**
     * What is shown here.
     * @type {State}
     */
    #local = { study: "", series: "" };
    #isSteering = false;
    #isFollowing = true;
    #words = "";
    #opening = 0;

    /** Groups that the gesture under way has changed, and those not yet told. */
    #touched = /** @type {Set<keyof Patch>} */ (new Set());
    #untold = /** @type {Set<keyof Patch>} */ (new Set());
    #patchTimer = 0;
    #pointerTimer = 0;
    #pointerAt = /** @type {{ x: number, y: number } | null} */ (null);

    #isDrawPending = false;
    /** Index of the image on the canvas, -1 when it is empty. */
    #drawn = -1;
    #isDestroyed = false;

    /** @param {HTMLElement} container @param {Options} options */
    constructor(container, options) {
        super();
        this.options = options;
        this.root = element("div", "viewport");
        this.canvas = /** @type {HTMLCanvasElement} */ (
            element("canvas", "viewport-image", { tabindex: "0", role: "application", "aria-roledescription": "image viewer", "aria-label": "No image" })
        );
        this.root.append(this.canvas);
        addStylesheet(container.ownerDocument);
        container.append(this.root);
        this.overlay = new Overlay(this.root);
        this.controls = new Controls(this.root, {
            tool: (tool) => this.gestures.choose(tool),
            command: (command) => this.#command(command),
            go: (index) => this.#goTo(index),
            settle: () => this.#settle(),
        });
        this.gestures = new Gestures(this.canvas, {
            scroll: (slices) => this.#goTo(this.#index + slices),
            jump: (end) => this.#goTo(end === "first" ? 0 : Infinity),
            window: (dx, dy) => this.#dragWindow(dx, dy),
            pan: (dx, dy) => this.#pan(dx, dy),
            zoom: (factor, x, y) => this.#zoom(factor, x, y),
            settle: () => this.#settle(),
            pixelsPerSlice: () => Math.min(24, Math.max(3, this.canvas.clientHeight / (2 * (this.#series?.images.length ?? 1)))),
            command: (command) => this.#command(command),
            hover: (at) => this.#hover(at),
        }, (tool) => this.controls.showTool(tool));
        this.gestures.choose("scroll");
        try {
            this.renderer = new Renderer(this.canvas, () => this.#draw());
        } catch (error) {
            this.#words = message(error);
        }
        this.resizing = new ResizeObserver(() => this.#resize());
        this.resizing.observe(this.root);
        this.#watchPixelRatio();
        this.#resize();
    }

    // MARK: - For the page

    /**
     * The state of what is shown here, as the room knows it.
     * @returns {State}
     */
    get state() {
        return structuredClone(this.#local);
    }

    get isFollowing() {
        return this.#isFollowing;
    }

    get isSteering() {
        return this.#isSteering;
    }

    /**
     * Shows a series from its first view on. Patches may come before it is loaded.
     * @param {{ study: string, series: string }} what
     * @returns {Promise<void>} the series is known; its pixels are on their way
     */
    async open({ study, series }) {
        const opening = ++this.#opening;
        this.#frames?.close();
        this.#frames = null;
        this.#series = null;
        this.#shared = { study, series };
        this.#local = { study, series };
        this.#touched.clear();
        this.#untold.clear();
        this.overlay.clearPointers();
        this.#words = "Loading the series …";
        this.#requestDraw();
        try {
            const loaded = await loadSeries(this.options.fetch, series);
            if (opening !== this.#opening || this.#isDestroyed) return;
            if (loaded.images.length === 0) throw new Error("The series has no images.");
            this.#series = loaded;
            this.#frames = new FrameStore(
                loaded.images, this.options.fetch, (index) => this.#frameCame(index), this.options.cacheBytes ?? 256 * 2 ** 20);
            this.#words = "";
            this.#shared = { ...this.#initialState(loaded), ...this.#shared };
            this.#local = { ...this.#shared };
            this.controls.showPresets(presets(loaded.modality, loaded.images[loaded.first]));
            this.#changed();
            this.dispatchEvent(new CustomEvent("open", { detail: { study, series } }));
        } catch (error) {
            if (opening !== this.#opening || this.#isDestroyed) return;
            this.#words = message(error);
            this.#requestDraw();
            this.dispatchEvent(new CustomEvent("error", { detail: { message: this.#words } }));
        }
    }

    /**
     * What the room shows has changed.
     * @param {Patch} patch
     */
    apply(patch) {
        const taken = /** @type {any} */ ({});
        for (const group of groups) {
            // While a hand moves something here, an older echo of it must not move it back.
            if (this.#isSteering && this.#touched.has(group)) continue;
            if (patch[group] !== undefined) taken[group] = structuredClone(patch[group]);
        }
        Object.assign(this.#shared, taken);
        if (!this.#isFollowing && !this.#isSteering) return;
        Object.assign(this.#local, taken);
        this.#changed();
    }

    /**
     * Whether gestures here move what the room shows.
     * @param {boolean} isSteering
     */
    setSteering(isSteering) {
        this.#isSteering = isSteering;
    }

    /** @param {boolean} isFollowing */
    setFollowing(isFollowing) {
        const wasFollowing = this.#isFollowing;
        this.#isFollowing = isFollowing;
        if (isFollowing && !wasFollowing) {
            this.#local = { ...this.#shared };
            this.#changed();
        }
        if (isFollowing !== wasFollowing) this.#tellFollowing();
    }

    /**
     * Somebody else's pointer; x and y null: it is gone.
     * @param {RemotePointer} pointer
     */
    showPointer(pointer) {
        this.overlay.setPointer(pointer);
        this.#placePointers();
    }

    /**
     * What is shown, for tests. `grey` holds every pixel of the displayed image as the shader windows it, at image
     * resolution; `canvas` holds values read from the canvas itself, each with the image coordinates it shows.
     */
    readPixels() {
        this.#draw();
        const frame = this.#frames?.get(this.#drawn);
        const image = this.#series?.images[this.#drawn];
        if (!this.renderer || !frame || !image) return null;
        const look = this.#look(image);
        const samples = sampleCanvas(this.renderer.canvasPixels(), this.canvas, this.#view(image));
        const { width, height } = this.canvas;
        const rgba = this.renderer.imagePixels(frame, image, look);
        return {
            sop: image.sop, frame: image.frame, columns: frame.columns, rows: frame.rows,
            isExact: this.#drawn === this.#index,
            grey: rgba.filter((_, index) => index % 4 === 0),
            canvas: { width, height, samples },
        };
    }

    /** Frames decoded and kept, for tests and the statistics panel. */
    get loaded() {
        return { frames: this.#frames?.loaded ?? 0, of: this.#series?.images.length ?? 0, bytes: this.#frames?.bytes ?? 0 };
    }

    destroy() {
        this.#isDestroyed = true;
        this.#opening += 1;
        clearTimeout(this.#patchTimer);
        clearTimeout(this.#pointerTimer);
        this.#frames?.close();
        this.gestures.destroy();
        this.overlay.destroy();
        this.resizing.disconnect();
        this.pixelRatio?.removeEventListener("change", this.#pixelRatioChanged);
        this.renderer?.destroy();
        this.root.remove();
    }

    // MARK: - State

    /** @param {Series} series @returns {State} */
    #initialState(series) {
        const image = series.images[series.first];
        /** @type {State} */
        const state = {
            study: this.#shared.study, series: this.#shared.series,
            image: { sop: image.sop, frame: image.frame },
            orientation: { rotation: 0, flipHorizontal: false },
            invert: false,
        };
        // What cannot be shown has no size and no window.
        if (image.columns && image.rows) state.area = wholeImage(image);
        if (image.windows?.[0]) state.voi = plain(image.windows[0]);
        return state;
    }

    get #index() {
        const series = this.#series;
        return series ? series.indexOf(this.#local.image) : -1;
    }

    get #image() {
        return this.#series?.images[this.#index];
    }

    /**
     * A gesture here: show it, stop following, tell the page.
     * @param {Patch} patch
     */
    #change(patch) {
        Object.assign(this.#local, patch);
        for (const group of /** @type {(keyof Patch)[]} */ (Object.keys(patch))) {
            this.#touched.add(group);
            this.#untold.add(group);
        }
        if (this.#isSteering) {
            Object.assign(this.#shared, structuredClone(patch));
        } else if (this.#isFollowing) {
            this.#isFollowing = false;
            this.#tellFollowing();
        }
        this.#changed();
        if (!this.#patchTimer) {
            this.#patchTimer = window.setTimeout(() => this.#tell(false), patchInterval);
        }
    }

    /** The hand has come to rest: everything it changed, once more and for certain. */
    #settle() {
        if (this.#touched.size > 0) this.#tell(true);
    }

    /** @param {boolean} final */
    #tell(final) {
        clearTimeout(this.#patchTimer);
        this.#patchTimer = 0;
        const told = final ? this.#touched : this.#untold;
        if (told.size === 0) return;
        const geometry = this.#patientGeometry(told);
        Object.assign(this.#local, geometry);
        if (this.#isSteering) Object.assign(this.#shared, geometry);
        /** @type {any} */
        const patch = { ...geometry };
        for (const group of told) patch[group] = this.#local[group];
        this.#untold.clear();
        if (final) this.#touched.clear();
        this.options.onPatch?.(structuredClone(patch), { final });
    }

    /**
     * The same view in the patient, for viewports that are linked by position.
     * @param {Set<keyof Patch>} told @returns {Patch}
     */
    #patientGeometry(told) {
        const image = this.#image;
        if (!image || !(told.has("image") || told.has("area") || told.has("orientation"))) return {};
        const view = this.#view(image);
        const spacing = image.pixelSpacing?.[1];
        return {
            focalPoint: patientPoint(image, view.middleX, view.middleY),
            viewUp: patientDirection(image, view, 0, -1),
            parallelScale: spacing ? (this.canvas.height / view.scale) * spacing / 2 : null,
        };
    }

    #changed() {
        const index = this.#index;
        if (index >= 0) this.#frames?.focus(index);
        this.#requestDraw();
        this.dispatchEvent(new CustomEvent("change"));
    }

    #tellFollowing() {
        this.dispatchEvent(new CustomEvent("following", { detail: { following: this.#isFollowing } }));
    }

    // MARK: - Gestures

    /** @param {number} index */
    #goTo(index) {
        const series = this.#series;
        if (!series) return;
        const target = Math.max(0, Math.min(series.images.length - 1, index));
        if (target === this.#index) return;
        const [from, image] = [this.#image, series.images[target]];
        /** @type {Patch} */
        const patch = { image: { sop: image.sop, frame: image.frame } };
        // Another size is another picture: the old rectangle means nothing in it.
        if (image.columns && (from?.columns !== image.columns || from?.rows !== image.rows)) patch.area = wholeImage(image);
        if (!this.#local.voi && image.windows?.[0]) patch.voi = plain(image.windows[0]);
        this.#change(patch);
    }

    /** @param {number} dx @param {number} dy */
    #dragWindow(dx, dy) {
        if (this.#local.voi) this.#change({ voi: dragged(this.#local.voi, dx, dy) });
    }

    /** @param {number} dx @param {number} dy CSS pixels */
    #pan(dx, dy) {
        const image = this.#image;
        if (!image?.columns) return;
        const view = this.#view(image);
        const { left, top, right, bottom } = view.visible;
        const [ix, iy] = view.toImageDirection(dx * this.#ratio, dy * this.#ratio);
        // A corner of the image always stays in sight.
        const x = Math.max(-right + 1, Math.min(image.columns - 1 - left, -ix));
        const y = Math.max(-bottom + 1, Math.min(image.rows - 1 - top, -iy));
        this.#change({ area: { left: left + x, top: top + y, right: right + x, bottom: bottom + y } });
    }

    /** @param {number} factor @param {number} x @param {number} y CSS pixels, what stays where it is */
    #zoom(factor, x, y) {
        const image = this.#image;
        if (!image?.columns) return;
        const view = this.#view(image);
        const { left, top, right, bottom } = view.visible;
        const widest = largestArea * Math.max(image.columns, image.rows * pixelAspect(image));
        const narrowest = smallestArea / Math.min(right - left, bottom - top);
        const shrink = Math.min(Math.max(1 / factor, narrowest), Math.max(1, widest / (right - left)));
        const [ax, ay] = view.toImage(x * this.#ratio, y * this.#ratio);
        this.#change({
            area: {
                left: ax + (left - ax) * shrink, top: ay + (top - ay) * shrink,
                right: ax + (right - ax) * shrink, bottom: ay + (bottom - ay) * shrink,
            },
        });
    }

    /** @param {string} command */
    #command(command) {
        const image = this.#image;
        const series = this.#series;
        if (!image || !series) return;
        const orientation = this.#local.orientation ?? { rotation: 0, flipHorizontal: false };
        if (command === "fit" && image.columns) {
            this.#change({ area: wholeImage(image) });
        } else if (command === "invert") {
            this.#change({ invert: !this.#local.invert });
        } else if (command === "rotate") {
            // The flip comes after the rotation: behind a mirror the hand turns the other way.
            const turn = orientation.flipHorizontal ? 270 : 90;
            const rotation = /** @type {Orientation["rotation"]} */ ((orientation.rotation + turn) % 360);
            this.#change({ orientation: { ...orientation, rotation } });
        } else if (command === "flip") {
            this.#change({ orientation: { ...orientation, flipHorizontal: !orientation.flipHorizontal } });
        } else if (command.startsWith("preset")) {
            const preset = presets(series.modality, image)[Number(command.slice(6)) - 1];
            if (preset) this.#change({ voi: preset.voi });
        }
    }

    /** @param {{ x: number, y: number } | null} at CSS pixels */
    #hover(at) {
        const isGone = at === null && this.#pointerAt !== null;
        this.#pointerAt = at;
        if (isGone) {
            clearTimeout(this.#pointerTimer);
            this.#pointerTimer = 0;
            this.#tellPointer();
        } else if (at && !this.#pointerTimer) {
            this.#pointerTimer = window.setTimeout(() => {
                this.#pointerTimer = 0;
                this.#tellPointer();
            }, pointerInterval);
        }
    }

    #tellPointer() {
        const image = this.#image;
        if (!image?.columns || this.#isDestroyed) return;
        const at = this.#pointerAt;
        let [x, y] = /** @type {(number | null)[]} */ ([null, null]);
        // Nobody can point at an image that is not on the screen yet.
        if (at && this.#drawn === this.#index) {
            const [ix, iy] = this.#view(image).toImage(at.x * this.#ratio, at.y * this.#ratio);
            if (ix >= 0 && iy >= 0 && ix <= image.columns && iy <= image.rows) [x, y] = [ix, iy];
        }
        this.options.onPointer?.({ sop: image.sop, frame: image.frame, x, y });
    }

    // MARK: - Drawing

    get #ratio() {
        return this.canvas.width / Math.max(1, this.canvas.clientWidth);
    }

    /** @param {ImageInfo} image @returns {View} */
    #view(image) {
        const area = this.#local.area ?? wholeImage(image);
        const orientation = this.#local.orientation ?? { rotation: 0, flipHorizontal: false };
        return new View(image, area, orientation, this.canvas.width, this.canvas.height);
    }

    /** @param {ImageInfo} image @returns {import("./render.js").Look} */
    #look(image) {
        const voi = image.photometric === "RGB" ? null : this.#local.voi ?? image.windows?.[0] ?? null;
        return { voi, invert: this.#local.invert ?? false };
    }

    #watchPixelRatio() {
        this.pixelRatio?.removeEventListener("change", this.#pixelRatioChanged);
        this.pixelRatio = matchMedia(`(resolution: ${devicePixelRatio}dppx)`);
        this.pixelRatio.addEventListener("change", this.#pixelRatioChanged);
    }

    #pixelRatioChanged = () => {
        this.#watchPixelRatio();
        this.#resize();
    };

    #resize() {
        const ratio = window.devicePixelRatio || 1;
        const largest = this.renderer?.largest ?? 4096;
        const width = Math.min(largest, Math.max(1, Math.round(this.root.clientWidth * ratio)));
        const height = Math.min(largest, Math.max(1, Math.round(this.root.clientHeight * ratio)));
        if (width === this.canvas.width && height === this.canvas.height) return;
        this.canvas.width = width;
        this.canvas.height = height;
        // At once, in the same frame: a resized canvas is empty.
        this.#draw();
    }

    /** @param {number} index */
    #frameCame(index) {
        if (index === this.#index || this.#drawn !== this.#index) this.#requestDraw();
        else this.#showLoaded();
    }

    #requestDraw() {
        if (this.#isDrawPending || this.#isDestroyed) return;
        this.#isDrawPending = true;
        requestAnimationFrame(() => {
            this.#isDrawPending = false;
            if (!this.#isDestroyed) this.#draw();
        });
    }

    #draw() {
        const [series, frames, index] = [this.#series, this.#frames, this.#index];
        const wasDrawn = this.#drawn;
        this.#drawn = -1;
        let [words, badge] = [this.#words, ""];
        if (series && frames) {
            if (index < 0) {
                words = "This image is not in the series here.";
            } else if (frames.has(index)) {
                this.#drawn = index;
            } else if (frames.failure(index)) {
                words = frames.failure(index) ?? "";
            } else {
                this.#drawn = frames.nearest(index);
                badge = this.#drawn < 0 ? `Loading image ${index + 1} …`
                    : `Loading image ${index + 1} – showing ${this.#drawn + 1}, the nearest available slice`;
            }
        }
        const frame = frames?.get(this.#drawn);
        const image = series?.images[this.#drawn];
        try {
            if (frame && image && this.renderer) {
                const largest = Math.max(frame.columns, frame.rows);
                if (largest > this.renderer.largest) throw new Error(`The image has ${largest} pixels in one direction; this graphics processor shows ${this.renderer.largest}.`);
                this.renderer.draw(frame, image, this.#view(image), this.#look(image));
            } else {
                this.renderer?.clear();
            }
        } catch (error) {
            this.#drawn = -1;
            words = message(error);
            this.renderer?.clear();
        }
        this.#showText(words, badge);
        this.#showLoaded();
        this.#placePointers();
        if (this.#drawn >= 0 && this.#drawn === index && (wasDrawn !== index || badge)) {
            this.dispatchEvent(new CustomEvent("image", { detail: { ...this.#local.image } }));
        }
    }

    /** @param {string} words @param {string} badge */
    #showText(words, badge) {
        const [series, image, index] = [this.#series, this.#image, this.#index];
        const view = image?.columns ? this.#view(image) : null;
        const shown = caption(series, image, index, view, this.#local, words);
        this.overlay.show({ ...shown.text, badge, words });
        this.canvas.setAttribute("aria-label", words ? [shown.spoken, words].filter(Boolean).join(": ") : shown.spoken || "No image");
        const count = series && image ? series.images.length : 0;
        this.controls.showPosition(count ? index : 0, count);
        if (count) this.overlay.announce(badge || words || `Image ${index + 1} of ${count}`);
    }

    #showLoaded() {
        const frames = this.#frames;
        if (frames) this.controls.showLoaded(frames.images.length, (index) => frames.has(index));
    }

    #placePointers() {
        const image = this.#image;
        const isShown = this.#drawn >= 0 && this.#drawn === this.#index;
        const view = image && isShown ? this.#view(image) : null;
        this.overlay.placePointers((pointer) => {
            if (!view || pointer.x === null || pointer.y === null) return null;
            if (pointer.sop !== image?.sop || pointer.frame !== image.frame) return null;
            const [x, y] = view.toCanvas(pointer.x, pointer.y);
            return { x: x / this.#ratio, y: y / this.#ratio };
        });
    }
}

/** @param {unknown} error @returns {string} */
function message(error) {
    return error instanceof Error ? error.message : String(error);
}

/**
 * Once per document; a pop-out is a document of its own.
 * @param {Document} target
 */
function addStylesheet(target) {
    const href = new URL("./viewport.css", import.meta.url).href;
    if ([...target.styleSheets].some((sheet) => sheet.href === href)) return;
    if (target.querySelector(`link[href="${href}"]`)) return;
    const link = target.createElement("link");
    link.rel = "stylesheet";
    link.href = href;
    target.head.append(link);
}
