// Mouse, touch, pen and keyboard to the words of a viewport: scroll, window, pan, zoom. Knows nothing about images.

/** @typedef {"scroll" | "window" | "pan" | "zoom"} Tool */

/**
 * Distances are CSS pixels; `x`, `y` are relative to the element. Every gesture ends with `settle`.
 * @typedef {object} Actions
 * @property {(slices: number) => void} scroll
 * @property {(dx: number, dy: number) => void} window
 * @property {(dx: number, dy: number) => void} pan
 * @property {(factor: number, x: number, y: number) => void} zoom
 * @property {() => void} settle
 * @property {() => number} pixelsPerSlice how far to drag for one slice
 * @property {(end: "first" | "last") => void} jump
 * @property {(command: string) => void} command fit, invert, rotate, flip, or preset1 … preset9
 * @property {(at: { x: number, y: number } | null) => void} hover
 */

/** @type {Record<string, Tool>} */
const toolKeys = { s: "scroll", w: "window", p: "pan", z: "zoom" };
/** @type {Record<string, string>} */
const commandKeys = { f: "fit", i: "invert", t: "rotate", h: "flip" };
const wheelPerSlice = 60;
const settleDelay = 180;

export class Gestures {
    /** @type {Tool} */
    tool = "scroll";
    /** @type {Map<number, { x: number, y: number }>} */
    #pointers = new Map();
    /** @type {Tool | "pinch" | null} */
    #dragging = null;
    #remainder = 0;
    #wheel = 0;
    #settleTimer = 0;
    #abort = new AbortController();

    /**
     * @param {HTMLElement} element
     * @param {Actions} actions
     * @param {(tool: Tool) => void} onTool
     */
    constructor(element, actions, onTool) {
        this.element = element;
        this.actions = actions;
        this.onTool = onTool;
        const options = { signal: this.#abort.signal };
        element.addEventListener("pointerdown", (event) => this.#down(event), options);
        element.addEventListener("pointermove", (event) => this.#move(event), options);
        element.addEventListener("pointerup", (event) => this.#up(event), options);
        element.addEventListener("pointercancel", (event) => this.#up(event), options);
        element.addEventListener("pointerleave", () => actions.hover(null), options);
        element.addEventListener("dblclick", () => this.#command("fit"), options);
        element.addEventListener("contextmenu", (event) => event.preventDefault(), options);
        element.addEventListener("wheel", (event) => this.#wheelTurned(event), { passive: false, ...options });
        element.addEventListener("keydown", (event) => this.#key(event), options);
    }

    destroy() {
        this.#abort.abort();
        clearTimeout(this.#settleTimer);
    }

    /** @param {Tool} tool */
    choose(tool) {
        this.tool = tool;
        this.onTool(tool);
    }

    /** @param {PointerEvent} event @returns {{ x: number, y: number }} */
    #at(event) {
        const box = this.element.getBoundingClientRect();
        return { x: event.clientX - box.left, y: event.clientY - box.top };
    }

    /** @param {PointerEvent} event */
    #down(event) {
        if (event.pointerType === "mouse" && event.button > 2) return;
        this.element.focus({ preventScroll: true });
        try {
            this.element.setPointerCapture(event.pointerId);
        } catch {
            // The pointer is gone already.
        }
        this.#pointers.set(event.pointerId, this.#at(event));
        if (this.#pointers.size === 2) {
            this.#dragging = "pinch";
        } else if (event.button === 2) {
            this.#dragging = "window";
        } else if (event.button === 1) {
            this.#dragging = "pan";
            event.preventDefault();
        } else {
            this.#dragging = event.shiftKey ? "pan" : event.ctrlKey || event.metaKey ? "zoom" : this.tool;
        }
        this.#remainder = 0;
    }

    /** @param {PointerEvent} event */
    #move(event) {
        const at = this.#at(event);
        const before = this.#pointers.get(event.pointerId);
        if (!before) {
            if (event.pointerType !== "touch") this.actions.hover(at);
            return;
        }
        if (this.#dragging === "pinch") {
            this.#pinch(event.pointerId, before, at);
        } else {
            this.#drag(at, at.x - before.x, at.y - before.y);
        }
        this.#pointers.set(event.pointerId, at);
        if (event.pointerType !== "touch") this.actions.hover(at);
    }

    /** @param {{ x: number, y: number }} at @param {number} dx @param {number} dy */
    #drag(at, dx, dy) {
        switch (this.#dragging) {
            case "window":
                this.actions.window(dx, dy);
                break;
            case "pan":
                this.actions.pan(dx, dy);
                break;
            case "zoom":
                this.actions.zoom(Math.exp(-dy * 0.006), at.x, at.y);
                break;
            case "scroll": {
                this.#remainder += dy;
                const step = this.actions.pixelsPerSlice();
                const slices = Math.trunc(this.#remainder / step);
                if (slices !== 0) {
                    this.#remainder -= slices * step;
                    this.actions.scroll(slices);
                }
                break;
            }
        }
    }

    /** @param {number} id @param {{ x: number, y: number }} before @param {{ x: number, y: number }} after */
    #pinch(id, before, after) {
        const other = [...this.#pointers].find(([otherID]) => otherID !== id)?.[1];
        if (!other) return;
        const from = Math.hypot(before.x - other.x, before.y - other.y);
        const to = Math.hypot(after.x - other.x, after.y - other.y);
        if (from > 8 && to > 8) this.actions.zoom(to / from, (after.x + other.x) / 2, (after.y + other.y) / 2);
        // The middle between the fingers moved half as far as the one finger.
        this.actions.pan((after.x - before.x) / 2, (after.y - before.y) / 2);
    }

    /** @param {PointerEvent} event */
    #up(event) {
        if (!this.#pointers.delete(event.pointerId)) return;
        // The finger that stays after a pinch begins nothing new.
        this.#dragging = null;
        if (this.#pointers.size === 0) this.actions.settle();
    }

    /** @param {WheelEvent} event */
    #wheelTurned(event) {
        event.preventDefault();
        const lines = event.deltaMode === 1 ? 40 : event.deltaMode === 2 ? 400 : 1;
        const delta = event.deltaY * lines;
        if (event.ctrlKey || event.metaKey) {
            const box = this.element.getBoundingClientRect();
            this.actions.zoom(Math.exp(-delta * 0.002), event.clientX - box.left, event.clientY - box.top);
        } else {
            // Touch pads send many small steps, wheels few large ones: a notch is one slice, never more.
            this.#wheel = Math.sign(delta) === Math.sign(this.#wheel) ? this.#wheel + delta : delta;
            const slices = Math.abs(delta) >= wheelPerSlice ? Math.sign(delta) : Math.trunc(this.#wheel / wheelPerSlice);
            if (slices !== 0) {
                this.#wheel = 0;
                this.actions.scroll(slices);
            }
        }
        this.#settleSoon();
    }

    /** @param {KeyboardEvent} event */
    #key(event) {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        if (!this.#keyHandled(event)) return;
        event.preventDefault();
        event.stopPropagation();
    }

    /** @param {KeyboardEvent} event @returns {boolean} */
    #keyHandled(event) {
        const { actions } = this;
        const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
        if (event.shiftKey && key.startsWith("Arrow")) return this.#arrow(key);
        switch (key) {
            case "ArrowUp":
            case "ArrowLeft":
                actions.scroll(-1);
                break;
            case "ArrowDown":
            case "ArrowRight":
                actions.scroll(1);
                break;
            case "PageUp":
                actions.scroll(-10);
                break;
            case "PageDown":
                actions.scroll(10);
                break;
            case "Home":
                actions.jump("first");
                break;
            case "End":
                actions.jump("last");
                break;
            case "+":
            case "=":
                actions.zoom(1.25, this.element.clientWidth / 2, this.element.clientHeight / 2);
                break;
            case "-":
                actions.zoom(0.8, this.element.clientWidth / 2, this.element.clientHeight / 2);
                break;
            case "0":
                this.#command("fit");
                return true;
            default:
                return this.#letter(key);
        }
        this.#settleSoon();
        return true;
    }

    /**
     * Shift and an arrow do what dragging with the tool does.
     * @param {string} key @returns {boolean}
     */
    #arrow(key) {
        const dx = key === "ArrowLeft" ? -20 : key === "ArrowRight" ? 20 : 0;
        const dy = key === "ArrowUp" ? -20 : key === "ArrowDown" ? 20 : 0;
        if (this.tool === "window") this.actions.window(dx, dy);
        else this.actions.pan(dx, dy);
        this.#settleSoon();
        return true;
    }

    /** @param {string} key @returns {boolean} */
    #letter(key) {
        if (toolKeys[key]) this.choose(toolKeys[key]);
        else if (commandKeys[key]) this.#command(commandKeys[key]);
        else if (/^[1-9]$/.test(key)) this.#command(`preset${key}`);
        else return false;
        return true;
    }

    /** @param {string} name */
    #command(name) {
        this.actions.command(name);
        this.actions.settle();
    }

    #settleSoon() {
        clearTimeout(this.#settleTimer);
        this.#settleTimer = window.setTimeout(() => this.actions.settle(), settleDelay);
    }
}
