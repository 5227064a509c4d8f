// One place that shows a shared viewport: steers when we have the floor, follows when somebody else has, and lets one look alone.

import { h, icon, setIcon, setText } from "../shared/dom.js";

/** @typedef {import("./viewports.js").ViewportHub} ViewportHub */
/** @typedef {import("./viewports.js").Surface} Surface */
/** @typedef {import("../shared/consilium").ViewportPatch} ViewportPatch */
/** @typedef {import("../viewport/viewport.js").Viewport} Viewport */

export class ViewportSurface {
    /**
     * The viewer itself, once it is loaded.
     * @type {Viewport | null}
     */
    view = null;
    #series = "";
    #isSteering = false;
    #isDestroyed = false;

    /**
     * @param {HTMLElement} container
     * @param {ViewportHub} hub
     * @param {string} viewport
     */
    constructor(container, hub, viewport) {
        this.container = container;
        this.hub = hub;
        this.viewport = viewport;
        this.place = h("div", { class: "viewport-place" });
        this.symbol = icon("people");
        this.words = h("span");
        this.status = h("p", { class: "viewport-status", role: "status" }, this.symbol, this.words);
        this.returnButton = h(
            "button", { type: "button", class: "button compact primary", title: "Return to the shared image (R)", onclick: () => this.follow() },
            icon("return"), "Return",
        );
        this.takeButton = h(
            "button", { type: "button", class: "button compact", title: "Take the floor", onclick: () => void this.hub.takeFloor() },
            icon("floor"), h("span"),
        );
        this.bar = h("div", { class: "viewport-bar" }, this.status, this.returnButton, this.takeButton);
        container.classList.add("viewport-surface");
        container.append(this.bar, this.place);
        hub.attach(this);
        void this.#load();
    }

    async #load() {
        try {
            const { Viewport } = await import("../viewport/viewport.js");
            if (this.#isDestroyed) return;
            this.view = new Viewport(this.place, {
                fetch: this.hub.fetch,
                onPatch: (patch) => {
                    if (this.#isSteering) this.hub.send(this, patch);
                },
                onPointer: (pointer) => this.hub.sendPointer(this.viewport, pointer),
            });
        } catch (error) {
            this.place.replaceChildren(h("p", { class: "tile-words", text: "The image viewer could not be loaded." }));
            console.error(error);
            return;
        }
        this.view.addEventListener("following", () => this.render());
        this.render();
        this.sync();
    }

    /**
     * Somebody else moved it.
     * @param {ViewportPatch} patch
     */
    show(patch) {
        this.view?.apply(/** @type {any} */ (patch));
    }

    /** Takes everything from what the room shows. */
    sync() {
        const state = this.hub.state(this.viewport);
        if (!this.view || !state) return;
        const { study, series, ...patch } = state;
        if (series !== this.#series) {
            this.#series = series;
            this.view.setFollowing(true);
            void this.view.open({ study, series });
        }
        this.show(patch);
    }

    /** @param {import("../shared/consilium").PointerPresence} pointer */
    point(pointer) {
        this.view?.showPointer(pointer);
    }

    /** Back to what everybody sees. */
    follow() {
        this.view?.setFollowing(true);
        this.render();
        this.view?.canvas.focus();
    }

    render() {
        const { hub, view } = this;
        if (view && hub.steering !== this.#isSteering) this.#steer(view, hub.steering);
        const isAlone = !this.#isSteering && view !== null && !view.isFollowing;
        const holder = hub.holderName;
        setIcon(this.symbol, this.#isSteering ? "floor" : isAlone ? "info" : "people");
        setText(
            this.words,
            this.#isSteering ? "You steer; everybody follows"
                : isAlone ? "You look on your own"
                : holder ? `Following ${holder}` : "Nobody steers",
        );
        this.bar.classList.toggle("alone", isAlone);
        this.bar.classList.toggle("steering", this.#isSteering);
        this.returnButton.hidden = !isAlone;
        this.takeButton.hidden = this.#isSteering || !hub.mayTake;
        setText(/** @type {Element} */ (this.takeButton.lastElementChild), isAlone ? "Show mine to all" : "Take the floor");
    }

    /**
     * @param {Viewport} view
     * @param {boolean} isSteering
     */
    #steer(view, isSteering) {
        this.#isSteering = isSteering;
        const wasAlone = !view.isFollowing;
        view.setSteering(isSteering);
        if (isSteering && wasAlone) {
            // Who takes the floor while looking alone shows everybody what they look at.
            const { study: _study, series: _series, ...patch } = view.state;
            view.apply(patch);
            this.hub.send(this, /** @type {any} */ (patch));
        }
        view.setFollowing(true);
    }

    destroy() {
        this.#isDestroyed = true;
        this.hub.detach(this);
        this.view?.destroy();
        this.container.replaceChildren();
    }
}
