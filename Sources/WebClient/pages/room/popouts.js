// Windows of their own for single pictures and for the viewport, on a second or third physical screen.

import { toast } from "./announce.js";

/** @typedef {import("./room-view.js").RoomView} RoomView */
/** @typedef {import("./scene.js").Tile} Tile */
/** @typedef {import("../shared/consilium").ScreenDetailed} ScreenDetailed */

/**
 * What a window of its own gets to see of the room; it is rendered again whenever something changed.
 * @typedef {object} PopoutView
 * @property {Tile} tile
 * @property {string} title
 * @property {MediaStream | null} media
 * @property {boolean} mirrored
 * @property {boolean} gone the stream has ended
 * @property {boolean} recording
 */

/**
 * A picture that somebody can see, its size in physical pixels; the page itself is screen 0.
 * @typedef {{ tile: Tile, width: number, height: number, screen: number }} ShownTile
 */

export class Popouts {
    /** @type {Map<string, { tile: Tile, window: Window, render: ((view: PopoutView) => void) | null }>} by id */
    #open = new Map();
    #lastID = 0;

    /** @param {RoomView} room */
    constructor(room) {
        this.room = room;
        window.addEventListener("pagehide", () => this.closeAll());
    }

    /** @param {Tile} tile */
    open(tile) {
        this.openOn(tile, null);
    }

    /**
     * The screens this computer has, when the browser may tell. Asks the user for permission the first time.
     * @returns {Promise<ScreenDetailed[]>}
     */
    async screens() {
        try {
            const details = await window.getScreenDetails?.();
            return details ? details.screens.filter((screen) => screen !== details.currentScreen) : [];
        } catch {
            return [];
        }
    }

    /**
     * @param {Tile} tile
     * @param {ScreenDetailed | null} screen
     */
    openOn(tile, screen) {
        const id = `w${++this.#lastID}`;
        const place = screen
            ? `left=${screen.availLeft},top=${screen.availTop},width=${screen.availWidth},height=${screen.availHeight}`
            : "width=1280,height=760";
        const opened = window.open(`/popout.html#${id}`, `consilium-${Date.now()}-${id}`, `popup,${place}`);
        if (!opened) {
            toast("The browser blocked the window. Allow pop-ups for this page, then try again.", { kind: "warning" });
            return;
        }
        this.#open.set(id, { tile, window: opened, render: null });
        this.#changed();
    }

    /**
     * The window reports that it is ready.
     * @param {string} id
     * @param {(view: PopoutView) => void} render
     */
    attach(id, render) {
        const entry = this.#open.get(id);
        if (!entry) return null;
        entry.render = render;
        this.render();
        return { tile: entry.tile, viewports: this.room.viewports, theme: window.consiliumTheme.current() };
    }

    /** @param {string} id */
    detach(id) {
        if (this.#open.delete(id)) this.#changed();
    }

    render() {
        const { model } = this.room.call;
        for (const [id, entry] of this.#open) {
            if (entry.window.closed) {
                this.detach(id);
                continue;
            }
            const { tile } = entry;
            const person = model.state.participants[tile.participant];
            const gone = tile.kind === "viewport" ? !model.state.viewports[tile.viewport] : !person?.streams[tile.stream];
            const stream = person?.streams[tile.stream];
            const label = tile.kind === "viewport" ? "Imaging" : [person?.name, tile.whole ? stream?.label : ""].filter(Boolean).join(" · ");
            entry.render?.({
                tile, title: label || model.state.title, media: this.room.mediaOf(tile), mirrored: tile.self && !tile.whole, gone,
                recording: model.state.recording !== null,
            });
        }
    }

    /** @returns {ShownTile[]} */
    shown() {
        const seen = [];
        for (const [id, { tile, window: opened }] of this.#open) {
            if (opened.closed || opened.document.visibilityState === "hidden" || tile.kind !== "stream" || tile.self) continue;
            const scale = opened.devicePixelRatio || 1;
            seen.push({ tile, width: opened.innerWidth * scale, height: opened.innerHeight * scale, screen: Math.min(15, Number(id.slice(1))) });
        }
        return seen;
    }

    #changed() {
        this.room.call.model.poppedOut = new Set([...this.#open.values()].map((entry) => entry.tile.key));
        this.room.call.model.changed();
    }

    closeAll() {
        for (const entry of this.#open.values()) entry.window.close();
        this.#open.clear();
    }
}
