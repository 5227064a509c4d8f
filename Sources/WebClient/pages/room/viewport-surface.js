// One place that shows a shared viewport: steers when we have the floor, follows when somebody else has, and lets one look alone.

import { h, icon, setText } from "../shared/dom.js";

/** @typedef {import("./viewports.js").ViewportHub} ViewportHub */
/** @typedef {import("../shared/consilium").ViewportPatch} ViewportPatch */

/** @typedef {import("./viewports.js").Surface} Surface */

export class ViewportSurface {
    /** @type {any} */
    #viewport = null;
    #series = "";
    #following = true;
    #steering = false;
    #destroyed = false;

    /**
     * @param {HTMLElement} container
     * @param {ViewportHub} hub
     * @param {string} viewport
     */
    constructor(container, hub, viewport) {
        this.container = container;
        this.hub = hub;
        this.viewport = viewport;
        this.canvas = h("div", { class: "viewport-canvas" });
        this.words = h("span");
        this.returnButton = h(
            "button", { type: "button", class: "button compact primary", onclick: () => this.follow() },
            icon("return"), "Return", h("kbd", { text: "R" }),
        );
        this.takeButton = h("button", { type: "button", class: "button compact", onclick: () => void this.#take() }, icon("floor"), "Show mine");
        this.banner = h("div", { class: "viewport-banner", hidden: true }, this.words, this.returnButton, this.takeButton);
        container.append(this.canvas, this.banner);
        hub.attach(this);
        void this.#load();
    }

    /** The viewer itself, for tests. */
    get view() {
        return this.#viewport;
    }

    async #load() {
        try {
            const { Viewport } = await import("../viewport/viewport.js");
            if (this.#destroyed) return;
            this.#viewport = new Viewport(this.canvas, {
                fetch: this.hub.fetch,
                onPatch: (/** @type {ViewportPatch} */ patch) => this.#moved(patch),
                onPointer: (/** @type {any} */ pointer) => this.hub.sendPointer(this.viewport, pointer),
            });
        } catch (error) {
            this.canvas.replaceChildren(h("p", { class: "tile-words", text: "The image viewer could not be loaded." }));
            console.error(error);
            return;
        }
        this.sync();
        this.render();
    }

    /** @param {ViewportPatch} patch */
    #moved(patch) {
        if (this.#steering) {
            this.hub.send(this, patch);
            return;
        }
        if (!this.#following) return;
        this.#following = false;
        this.#viewport?.setFollowing(false);
        this.render();
    }

    /** @param {ViewportPatch} patch */
    show(patch) {
        if (this.#following) this.#viewport?.apply(patch);
    }

    sync() {
        const state = this.hub.state(this.viewport);
        if (!this.#viewport || !state) return;
        const { study, series, ...patch } = state;
        if (series !== this.#series) {
            this.#series = series;
            this.#following = true;
            this.#viewport.open({ study, series });
        }
        if (this.#following) this.#viewport.apply(patch);
    }

    /** @param {import("../shared/consilium").PointerPresence} pointer */
    point(pointer) {
        this.#viewport?.showPointer(pointer);
    }

    /** Back to what everybody sees. */
    follow() {
        this.#following = true;
        this.sync();
        this.render();
        this.canvas.querySelector("canvas")?.focus();
    }

    async #take() {
        await this.hub.takeFloor();
    }

    render() {
        const steering = this.hub.steering;
        if (steering !== this.#steering) {
            this.#steering = steering;
            // Who takes the floor while looking alone shows everybody what they look at.
            if (steering && !this.#following && this.#viewport?.state) {
                this.#following = true;
                this.hub.send(this, properties(this.#viewport?.state));
            } else if (!steering) {
                this.#following = true;
                this.sync();
            }
        }
        this.#viewport?.setSteering(this.#steering);
        this.#viewport?.setFollowing(this.#steering ? false : this.#following);
        const alone = !this.#steering && !this.#following;
        this.banner.hidden = !alone;
        const holder = this.hub.holderName;
        if (alone) setText(this.words, holder ? `You look on your own; ${holder} steers.` : "You look on your own.");
        this.takeButton.hidden = !this.hub.mayTake;
    }

    destroy() {
        this.#destroyed = true;
        this.hub.detach(this);
        this.#viewport?.destroy();
        this.container.replaceChildren();
    }
}

/** @param {any} state @returns {ViewportPatch} */
function properties(state) {
    const { study: _study, series: _series, ...patch } = state;
    return JSON.parse(JSON.stringify(patch));
}
