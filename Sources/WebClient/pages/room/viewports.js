// The room's shared viewports: who steers, who follows, and what travels between the surfaces that show them and the server.

import { hue } from "../shared/format.js";

/** @typedef {import("./call.js").Call} Call */
/** @typedef {import("../shared/consilium").ViewportPatch} ViewportPatch */
/** @typedef {import("../shared/consilium").ViewportState} ViewportState */
/** @typedef {import("../shared/consilium").PointerPresence} PointerPresence */

/**
 * What shows a viewport: a tile of this page, or a window on another screen.
 * @typedef {object} Surface
 * @property {string} viewport
 * @property {(patch: ViewportPatch) => void} show somebody else changed it
 * @property {() => void} sync take everything from `state`
 * @property {(pointer: PointerPresence) => void} point
 * @property {() => void} render who steers, or a name, changed
 */

const patchInterval = 1000 / 30;
const pointerInterval = 1000 / 20;

export class ViewportHub {
    /** @type {Set<Surface>} */
    #surfaces = new Set();
    /** @type {Map<string, { patch: ViewportPatch, timer: number, sentAt: number }>} */
    #outgoing = new Map();
    #pointerSentAt = 0;
    #pointerTimer = 0;

    /** @param {Call} call */
    constructor(call) {
        this.call = call;
        call.addEventListener("event", (event) => this.#event(/** @type {CustomEvent} */ (event).detail));
        call.addEventListener("entered", () => this.#surfaces.forEach((surface) => surface.sync()));
        call.addEventListener("pointer", (event) => this.#pointer(/** @type {CustomEvent} */ (event).detail));
        call.model.addEventListener("change", () => this.#surfaces.forEach((surface) => surface.render()));
    }

    /** @type {(path: string, options?: RequestInit) => Promise<Response>} */
    fetch = (path, options) => this.call.fetch(path, options);

    /** @param {Surface} surface */
    attach(surface) {
        this.#surfaces.add(surface);
    }

    /** @param {Surface} surface */
    detach(surface) {
        this.#surfaces.delete(surface);
    }

    /** @param {string} viewport @returns {ViewportState | null} */
    state(viewport) {
        return this.call.model.state.viewports[viewport] ?? null;
    }

    get steering() {
        return this.call.model.hasFloor;
    }

    /** Whether the floor could be taken right now. */
    get mayTake() {
        const { model } = this.call;
        return model.may("steer") && (model.state.floor.holder === null || model.may("giveFloor"));
    }

    /** @returns {string | null} */
    get holderName() {
        const holder = this.call.model.state.floor.holder;
        return holder ? this.call.model.name(holder) : null;
    }

    async takeFloor() {
        return (await this.call.perform("floor.take")) !== null;
    }

    /**
     * A surface of ours was moved while we steer.
     * @param {Surface} from
     * @param {ViewportPatch} patch
     */
    send(from, patch) {
        for (const surface of this.#surfaces) {
            if (surface !== from && surface.viewport === from.viewport) surface.show(patch);
        }
        let outgoing = this.#outgoing.get(from.viewport);
        if (!outgoing) {
            outgoing = { patch: {}, timer: 0, sentAt: 0 };
            this.#outgoing.set(from.viewport, outgoing);
        }
        Object.assign(outgoing.patch, patch);
        this.#schedule(from.viewport, outgoing);
    }

    /**
     * At most 30 a second; what is held back goes out when its time has come, so the last position is never lost.
     * @param {string} viewport
     * @param {{ patch: ViewportPatch, timer: number, sentAt: number }} outgoing
     */
    #schedule(viewport, outgoing) {
        if (outgoing.timer) return;
        const wait = Math.max(0, outgoing.sentAt + patchInterval - performance.now());
        outgoing.timer = window.setTimeout(async () => {
            outgoing.timer = 0;
            const patch = outgoing.patch;
            outgoing.patch = {};
            outgoing.sentAt = performance.now();
            try {
                await this.call.connection.request("viewport.update", { viewport, patch });
            } catch (error) {
                if (/** @type {any} */ (error)?.code !== "too_fast") {
                    // Refused: what the room shows is the truth.
                    for (const surface of this.#surfaces) if (surface.viewport === viewport) surface.sync();
                    return;
                }
                outgoing.patch = { ...patch, ...outgoing.patch };
                outgoing.sentAt = performance.now() + 200;
                this.#schedule(viewport, outgoing);
            }
        }, wait);
    }

    /**
     * @param {string} viewport
     * @param {{ sop: string, frame: number, x: number | null, y: number | null }} pointer
     */
    sendPointer(viewport, pointer) {
        if (!this.call.model.may("point")) return;
        window.clearTimeout(this.#pointerTimer);
        const wait = Math.max(0, this.#pointerSentAt + pointerInterval - performance.now());
        this.#pointerTimer = window.setTimeout(() => {
            this.#pointerSentAt = performance.now();
            this.call.connection.send("pointer", { viewport, ...pointer });
        }, wait);
    }

    /** @param {import("../shared/consilium").RoomEvent} event */
    #event(event) {
        const own = event.by === this.call.model.self;
        for (const surface of this.#surfaces) {
            if (surface.viewport !== event["viewport"]) continue;
            if (event.event === "viewport.opened") surface.sync();
            else if (event.event === "viewport.changed" && !own) surface.show(event["patch"]);
        }
    }

    /** @param {any} presence */
    #pointer(presence) {
        const { model } = this.call;
        const by = presence.by ?? "";
        if (by === model.self) return;
        const pointer = { ...presence, name: model.name(by), color: `hsl(${hue(by)} 90% 65%)` };
        for (const surface of this.#surfaces) {
            if (surface.viewport === presence.viewport) surface.point(pointer);
        }
    }
}
