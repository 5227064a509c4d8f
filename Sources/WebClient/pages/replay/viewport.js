// The images inside a replay: follow what was shown, may be turned by the viewer, and come back to it.

import { h, icon } from "../shared/dom.js";

/** @typedef {import("../shared/consilium").ViewportState} ViewportState */

export class ReplayViewport {
    /** @type {any} */
    #view = null;
    #series = "";
    #following = true;
    #destroyed = false;
    /** @type {ViewportState | null} */
    #state = null;

    /**
     * @param {HTMLElement} container
     * @param {import("./api.js").Server} server
     * @param {string} name
     */
    constructor(container, server, name) {
        this.name = name;
        this.canvas = h("div", { class: "viewport-place" });
        this.banner = h(
            "div", { class: "viewport-bar alone", hidden: true },
            h("p", { class: "viewport-status" }, icon("people"), h("span", { text: "You look on your own" })),
            h("button", { type: "button", class: "button compact primary", onclick: () => this.follow() }, icon("return"), "Back to the recording", h("kbd", { text: "R" })),
        );
        container.classList.add("viewport-surface");
        container.append(this.banner, this.canvas);
        void this.#load(server);
    }

    /** The viewer itself, for tests. */
    get view() {
        return this.#view;
    }

    /** @param {import("./api.js").Server} server */
    async #load(server) {
        try {
            const { Viewport } = await import("../viewport/viewport.js");
            if (this.#destroyed) return;
            this.#view = new Viewport(this.canvas, { fetch: server.fetch, onPatch: () => this.#leave() });
            this.#view.setSteering(false);
            if (this.#state) this.show(this.#state, true);
        } catch (error) {
            console.error(error);
            this.canvas.replaceChildren(h("p", { class: "tile-words", text: "The image viewer could not be loaded." }));
        }
    }

    /**
     * What was shown at the clock's moment.
     * @param {ViewportState} state
     * @param {boolean} jumped
     */
    show(state, jumped) {
        const previous = this.#state;
        this.#state = structuredClone(state);
        if (!this.#view) return;
        const { study, series, ...patch } = state;
        // Groups that are not set yet at this moment come back only by opening the series anew.
        const lost = jumped && previous !== null && Object.keys(previous).some((group) => !(group in state));
        if (series !== this.#series || lost) {
            this.#series = series;
            void this.#view.open({ study, series });
        }
        // While one looks on one's own, the viewer keeps what the recording shows for the return.
        this.#view.apply(patch);
    }

    #leave() {
        if (!this.#following) return;
        this.#following = false;
        this.#view?.setFollowing(false);
        this.banner.hidden = false;
    }

    follow() {
        this.#following = true;
        this.#view?.setFollowing(true);
        this.banner.hidden = true;
        this.canvas.querySelector("canvas")?.focus();
    }

    get following() {
        return this.#following;
    }

    destroy() {
        this.#destroyed = true;
        this.#view?.destroy();
    }
}
