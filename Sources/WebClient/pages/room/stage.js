// The middle of the room: keeps the tiles and moves them to where the layout says, without ever taking a playing picture out of the page.

import { h, setText } from "../shared/dom.js";
import { arrange } from "./layout.js";
import { describeScene } from "./scene.js";
import { TileView } from "./tile.js";

/** @typedef {import("./room-view.js").RoomView} RoomView */

/** Width in rem below which a tile leaves out what is not needed. */
const smallTile = 17;

export class Stage {
    /** @type {Map<string, TileView>} */
    #views = new Map();
    #width = 0;
    #height = 0;

    /** @param {RoomView} room */
    constructor(room) {
        this.room = room;
        this.moreButton = h("button", {
            type: "button", class: "tile more-people", hidden: true, onclick: () => room.call.model.togglePanel("people"),
        });
        this.empty = h("div", { class: "stage-empty", hidden: true });
        this.area = h("div", { class: "stage-area" }, this.moreButton);
        this.element = h("main", { class: "stage", id: "stage", tabIndex: -1, "aria-label": "Stage" }, this.area, this.empty);
        this.observer = new ResizeObserver(() => {
            this.#width = this.area.clientWidth;
            this.#height = this.area.clientHeight;
            this.render();
        });
        this.observer.observe(this.area);
    }

    render() {
        const scene = describeScene(this.room.call.model);
        const all = [...scene.stage, ...scene.strip];
        const keys = new Set(all.map((tile) => tile.key));
        for (const [key, view] of this.#views) {
            if (keys.has(key)) continue;
            view.remove();
            view.element.remove();
            this.#views.delete(key);
        }
        for (const tile of all) {
            let view = this.#views.get(tile.key);
            if (!view) {
                view = new TileView(this.room, tile);
                this.#views.set(tile.key, view);
                this.area.insertBefore(view.element, this.moreButton);
            }
            view.update(tile);
        }
        const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
        const gap = this.#width < 600 ? 6 : 10;
        const { places, more } = arrange(scene, this.#width, this.#height, gap, smallTile * rem);
        const onStage = new Set(scene.stage.map((tile) => tile.key));
        for (const [key, view] of this.#views) {
            view.setPlace(places.get(key));
            view.element.classList.toggle("staged", onStage.has(key));
        }
        this.moreButton.hidden = !more;
        if (more) {
            const { style } = this.moreButton;
            style.setProperty("width", `${Math.round(more.place.width)}px`);
            style.setProperty("height", `${Math.round(more.place.height)}px`);
            style.setProperty("transform", `translate(${Math.round(more.place.left)}px, ${Math.round(more.place.top)}px)`);
            setText(this.moreButton, `+${more.count}`);
            this.moreButton.setAttribute("aria-label", `${more.count} more, open the list of participants`);
        }
        const others = Object.entries(this.room.call.model.state.participants).filter(
            ([participant, person]) => participant !== this.room.call.model.self && person.status !== "waiting",
        );
        const alone = others.length === 0 && scene.stage.every((tile) => tile.kind !== "viewport");
        this.empty.hidden = !alone;
        if (alone) setText(this.empty, "Nobody else is here yet. They appear as soon as they join.");
    }

    /** @param {string} viewport */
    surface(viewport) {
        return this.#views.get(`viewport:${viewport}`)?.surface ?? null;
    }

    /** Back to the shared image, in every viewport. */
    followAll() {
        for (const view of this.#views.values()) view.surface?.follow();
    }

    destroy() {
        this.observer.disconnect();
        for (const view of this.#views.values()) view.remove();
    }
}
