// What stands on the image: slice, window, orientation letters, badges, and other people's pointers.

/** @typedef {{ by: string, name: string, color: string, sop: string, frame: number, x: number | null, y: number | null }} RemotePointer */

/**
 * @typedef {object} OverlayText
 * @property {string} title
 * @property {string} slice
 * @property {string} window
 * @property {{ top: string, right: string, bottom: string, left: string }} letters
 * @property {string} badge what is not as it should be: an image still loading, a slice that stands in for another
 * @property {string} words instead of an image
 * @property {string[]} notes
 */

const fadeAfter = 4000;
const removeAfter = 20000;

/** @param {string} name @param {string} className @param {Record<string, string>} [attributes] */
export function element(name, className, attributes = {}) {
    const made = document.createElement(name);
    made.className = className;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
}

export class Overlay {
    /** @type {Map<string, { pointer: RemotePointer, node: HTMLElement, at: number }>} */
    #pointers = new Map();
    #sweep = 0;
    #announceTimer = 0;

    /** @param {HTMLElement} root */
    constructor(root) {
        this.layer = element("div", "viewport-overlay", { "aria-hidden": "true" });
        this.title = this.#text("viewport-title");
        this.window = this.#text("viewport-window");
        this.slice = this.#text("viewport-slice");
        this.badge = this.#text("viewport-badge");
        this.words = this.#text("viewport-words");
        this.notes = this.#text("viewport-notes");
        this.letters = {
            top: this.#text("viewport-letter viewport-letter-top"),
            right: this.#text("viewport-letter viewport-letter-right"),
            bottom: this.#text("viewport-letter viewport-letter-bottom"),
            left: this.#text("viewport-letter viewport-letter-left"),
        };
        this.pointerLayer = element("div", "viewport-pointers", { "aria-hidden": "true" });
        this.live = element("p", "viewport-live", { role: "status", "aria-live": "polite" });
        root.append(this.layer, this.pointerLayer, this.live);
    }

    /** @param {string} className */
    #text(className) {
        const node = element("p", className);
        node.hidden = true;
        this.layer.append(node);
        return node;
    }

    /** @param {OverlayText} text */
    show(text) {
        set(this.title, text.title);
        set(this.slice, text.slice);
        set(this.window, text.window);
        set(this.badge, text.badge);
        set(this.words, text.words);
        set(this.notes, text.notes.join("\n"));
        for (const side of /** @type {const} */ (["top", "right", "bottom", "left"])) {
            set(this.letters[side], text.letters[side]);
        }
    }

    /**
     * To screen readers, when the hand has come to rest.
     * @param {string} words
     */
    announce(words) {
        clearTimeout(this.#announceTimer);
        this.#announceTimer = window.setTimeout(() => {
            if (this.live.textContent !== words) this.live.textContent = words;
        }, 700);
    }

    /** @param {RemotePointer} pointer */
    setPointer(pointer) {
        if (pointer.x === null || pointer.y === null) {
            this.#remove(pointer.by);
            return;
        }
        let known = this.#pointers.get(pointer.by);
        if (!known) {
            const node = element("div", "viewport-pointer");
            const name = element("span", "viewport-pointer-name");
            node.append(element("span", "viewport-pointer-mark"), name);
            this.pointerLayer.append(node);
            known = { pointer, node, at: 0 };
            this.#pointers.set(pointer.by, known);
        }
        known.pointer = pointer;
        known.at = performance.now();
        known.node.style.setProperty("--pointer-color", pointer.color);
        const name = /** @type {HTMLElement} */ (known.node.lastElementChild);
        if (name.textContent !== pointer.name) name.textContent = pointer.name;
        if (!this.#sweep) this.#sweep = window.setInterval(() => this.#age(), 500);
    }

    /**
     * Puts every pointer where its image point is, and hides those that point at another image.
     * @param {(pointer: RemotePointer) => { x: number, y: number } | null} place CSS pixels
     */
    placePointers(place) {
        for (const { pointer, node } of this.#pointers.values()) {
            const at = place(pointer);
            node.hidden = !at;
            if (at) node.style.transform = `translate(${at.x}px, ${at.y}px)`;
        }
    }

    #age() {
        const now = performance.now();
        for (const [by, { node, at }] of this.#pointers) {
            node.classList.toggle("is-old", now - at > fadeAfter);
            if (now - at > removeAfter) this.#remove(by);
        }
        if (this.#pointers.size === 0) {
            clearInterval(this.#sweep);
            this.#sweep = 0;
        }
    }

    /** @param {string} by */
    #remove(by) {
        this.#pointers.get(by)?.node.remove();
        this.#pointers.delete(by);
    }

    clearPointers() {
        [...this.#pointers.keys()].forEach((by) => this.#remove(by));
    }

    destroy() {
        clearInterval(this.#sweep);
        clearTimeout(this.#announceTimer);
    }
}

/** @param {HTMLElement} node @param {string} text */
function set(node, text) {
    if (node.textContent !== text) node.textContent = text;
    if (node.hidden !== (text === "")) node.hidden = text === "";
}
