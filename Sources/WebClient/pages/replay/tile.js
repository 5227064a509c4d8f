// One tile of a replay: the picture of the moment, or who is there without one; or the images, which one may turn oneself.

import { h, icon, iconButton, setAttribute, setText } from "../shared/dom.js";
import { hue, initials } from "../shared/format.js";
import { streamRoleName } from "../shared/words.js";
import { ReplayViewport } from "./viewport.js";

/** @typedef {import("../room/scene.js").Tile} Tile */
/** @typedef {import("./media-track.js").MediaTrack} MediaTrack */
/** @typedef {import("./player.js").Player} Player */

export class ReplayTile {
    /** Its viewport has not been told what it shows. */
    isNew = true;
    /** @type {HTMLElement | null} */
    #shown = null;

    /** @param {Player} player @param {Tile} tile */
    constructor(player, tile) {
        this.player = player;
        this.tile = tile;
        this.words = h("p", { class: "tile-words", hidden: true });
        this.name = h("span", { class: "tile-name" });
        this.detail = h("span", { class: "tile-detail" });
        this.marks = h("div", { class: "tile-marks" });
        this.pin = iconButton("pin", "Put on the stage", () => player.togglePin(this.tile.key));
        this.content = h("div", { class: "tile-content" });
        this.avatar = h("div", { class: "avatar", "aria-hidden": "true" });
        /** @type {ReplayViewport | null} */
        this.viewport = null;
        if (tile.kind === "viewport") {
            this.viewport = new ReplayViewport(this.content, player.server, tile.viewport);
        } else {
            this.avatar.style.setProperty("--hue", String(hue(tile.participant)));
            this.content.append(h("div", { class: "tile-person" }, this.avatar));
        }
        this.element = h(
            "article", { class: "tile", data: { key: tile.key, kind: tile.kind, role: tile.role } },
            this.content, this.words, h("div", { class: "tile-plate" }, this.name, this.detail), this.marks,
            h("div", { class: "tile-actions" }, this.pin),
        );
        this.element.addEventListener("dblclick", (event) => {
            if (tile.kind !== "viewport" && !(/** @type {Element} */ (event.target).closest("button"))) player.togglePin(this.tile.key);
        });
    }

    /** @param {Tile} tile @param {number} t */
    update(tile, t) {
        this.tile = tile;
        const { state } = this.player;
        const person = state.participants[tile.participant];
        const name = tile.kind === "viewport" ? "Images" : person?.name || this.player.nameOf(tile.participant);
        setText(this.name, name);
        setText(this.detail, tile.kind === "stream" && tile.role !== "camera" ? tile.label || streamRoleName(tile.role) : "");
        setText(this.avatar, initials(name));
        const media = tile.kind === "stream" ? this.player.videoAt(tile.participant, tile.stream, t) : null;
        this.#show(media?.element ?? null);
        const words = tile.kind === "stream" ? whyNoPicture(media, person?.streams[tile.stream]?.muted === true, t) : "";
        const hasPicture = Boolean(media?.element && media.element.readyState >= 2 && !words);
        this.element.classList.toggle("pictured", hasPicture);
        this.element.classList.toggle("whole", tile.whole);
        this.element.classList.toggle("away", person?.status === "disconnected");
        this.words.hidden = words === "";
        setText(this.words, words);
        const pinned = this.player.pinned === tile.key;
        setAttribute(this.pin, "aria-pressed", String(pinned));
        const what = tile.kind === "stream" ? `${name}, ${streamRoleName(tile.role)}` : name;
        setAttribute(this.pin, "aria-label", pinned ? `Take ${what} off the stage` : `Put ${what} on the stage`);
        setAttribute(this.element, "aria-label", words ? `${what}: ${words}` : what);
        this.#mark(person?.hand === true, state.floor.holder !== null && state.floor.holder === tile.participant);
    }

    /** @param {boolean} hand @param {boolean} floor */
    #mark(hand, floor) {
        const wanted = `${hand}${floor}`;
        if (this.marks.dataset.marks === wanted) return;
        this.marks.dataset.marks = wanted;
        this.marks.replaceChildren();
        if (hand) this.marks.append(h("span", { class: "mark hand", role: "img", "aria-label": "Hand raised" }, icon("hand")));
        if (floor) this.marks.append(h("span", { class: "mark floor", role: "img", "aria-label": "Has the floor" }, icon("floor")));
    }

    /** @param {HTMLElement | null} element */
    #show(element) {
        if (element === this.#shown && (!element || element.parentElement === this.content)) return;
        if (this.#shown && this.#shown.parentElement === this.content) this.#shown.remove();
        this.#shown = element;
        if (element) this.content.append(element);
    }

    destroy() {
        this.viewport?.destroy();
        this.#show(null);
        this.element.remove();
    }
}

/** @param {MediaTrack | null} media @param {boolean} muted @param {number} t */
function whyNoPicture(media, muted, t) {
    if (media?.failed) return "This picture cannot be played here";
    const gap = media?.gapAt(t);
    if (muted && (!media || gap)) return "Camera off";
    if (!media || !media.shows(t)) return "No picture at this time";
    if (gap) return gap.cause === "paused" ? "Camera off" : "Not recorded: picture lost";
    return "";
}
