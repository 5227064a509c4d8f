// One tile: a picture, or a person without one, or a viewport; with its name, its marks and its buttons.

import { h, icon, iconButton, setAttribute, setIcon, setText } from "../shared/dom.js";
import { hue, initials } from "../shared/format.js";
import { openMenu } from "../shared/overlays.js";
import { roleName, streamRoleName } from "../shared/words.js";
import { ViewportSurface } from "./viewport-surface.js";

/** @typedef {import("./scene.js").Tile} Tile */
/** @typedef {import("./room-view.js").RoomView} RoomView */
/** @typedef {import("./layout.js").Place} Place */

/** A moving picture that stands still this long (ms) is called frozen. */
const frozenAfter = 4_000;

export class TileView {
    /** @type {ViewportSurface | null} */
    surface = null;
    /** @type {Place | undefined} where it is on the stage; nowhere when there is no room for it */
    place;
    #frames = 0;
    #movedAt = performance.now();

    /**
     * @param {RoomView} room
     * @param {Tile} tile
     */
    constructor(room, tile) {
        this.room = room;
        this.tile = tile;
        this.words = h("p", { class: "tile-words", hidden: true });
        this.mute = icon("mic-off");
        this.mute.classList.add("muted-mark");
        this.name = h("span", { class: "tile-name" });
        this.detail = h("span", { class: "tile-detail" });
        this.plate = h("div", { class: "tile-plate" }, this.mute, this.name, this.detail);
        this.marks = h("div", { class: "tile-marks" });
        this.pin = iconButton("pin", "Put on the stage", () => room.call.model.togglePin(tile.key));
        this.popout = iconButton("popout", "Open in a window of its own", () => room.popouts.open(this.tile));
        this.more = iconButton("more", "More", () => this.#openMenu());
        this.more.setAttribute("aria-haspopup", "menu");
        this.actions = h("div", { class: "tile-actions" }, this.pin, this.popout, this.more);

        /** @type {HTMLVideoElement | null} */
        this.video = null;
        this.avatar = h("div", { class: "avatar", "aria-hidden": "true" });
        const content = h("div", { class: "tile-content" });
        if (tile.kind === "viewport") {
            this.surface = new ViewportSurface(content, room.viewports, tile.viewport);
        } else {
            content.append(h("div", { class: "tile-person" }, this.avatar));
            this.avatar.style.setProperty("--hue", String(hue(tile.participant)));
        }
        if (tile.kind === "stream") {
            const video = h("video", { autoplay: true, muted: true, playsInline: true, disablePictureInPicture: false });
            video.addEventListener("resize", () => this.#shape());
            video.addEventListener("loadeddata", () => this.room.call.model.changed());
            content.append(video);
            this.video = video;
        }
        this.element = h("article", { class: "tile", tabIndex: -1, data: { key: tile.key, kind: tile.kind, role: tile.role } });
        this.element.append(content, this.words, this.plate, this.marks);
        // The viewport has a bar of its own, so that nothing of ours lies on the image.
        (this.surface?.bar ?? this.element).append(this.actions);
        this.element.addEventListener("dblclick", (event) => {
            if (tile.kind !== "viewport" && !(/** @type {Element} */ (event.target).closest("button"))) room.call.model.togglePin(tile.key);
        });
    }

    /** @param {Tile} tile */
    update(tile) {
        this.tile = tile;
        const { model } = this.room.call;
        const person = model.state.participants[tile.participant];
        const stream = person?.streams[tile.stream];
        const poppedOut = model.poppedOut.has(tile.key);
        const pinned = model.pinned.includes(tile.key);

        const media = poppedOut ? null : this.room.mediaOf(tile);
        if (this.video && this.video.srcObject !== media) {
            this.video.srcObject = media;
            this.#frames = 0;
            this.#movedAt = performance.now();
            if (media) void this.video.play().catch(() => undefined);
        }
        const off = stream?.muted === true || (tile.self && tile.kind === "stream" && !media?.getTracks().length);
        const pictured = Boolean(this.video && media && !off && this.video.readyState >= 2);
        const { classList } = this.element;
        classList.toggle("pictured", pictured);
        classList.toggle("whole", tile.whole);
        classList.toggle("mirrored", tile.self && tile.role === "camera");
        classList.toggle("speaking", tile.role === "camera" && model.speaking(tile.participant));
        classList.toggle("away", person?.status === "disconnected");

        const name = tile.kind === "viewport" ? "Imaging" : tile.self ? "You" : person?.name ?? "";
        const label = tile.kind === "stream" && tile.whole ? stream?.label || streamRoleName(tile.role) : "";
        setText(this.name, name);
        setText(this.detail, label || (tile.self || !person ? "" : roleName(person.role)));
        setText(this.avatar, person ? initials(person.name) : "");
        this.avatar.hidden = tile.kind === "stream" && tile.whole;
        const silent = tile.kind !== "viewport" && tile.role === "camera" && !soundOn(person);
        this.mute.toggleAttribute("hidden", !silent);
        this.#setWords(poppedOut ? "In a window of its own" : person?.status === "disconnected" ? "Connection lost, waiting …"
            : this.video && !off && !pictured && !tile.self ? "Waiting for the picture …"
            : off && tile.whole ? "Paused" : this.#frozen(pictured) ? "The picture stands still" : "");

        this.#setMarks(person, tile);
        setAttribute(this.pin, "aria-pressed", String(pinned));
        setIcon(/** @type {any} */ (this.pin.firstElementChild), pinned ? "unpin" : "pin");
        const pinLabel = pinned ? "Take off the stage" : "Put on the stage";
        setAttribute(this.pin, "aria-label", pinLabel);
        this.pin.title = pinLabel;
        this.popout.hidden = tile.kind === "person" || poppedOut;
        const parts = [name, label, silent ? "microphone off" : "", person?.hand ? "hand raised" : "", stream?.muted ? "picture off" : ""];
        setAttribute(this.element, "aria-label", parts.filter(Boolean).join(", "));
    }

    /** @param {Place | undefined} place */
    setPlace(place) {
        this.place = place;
        const { style } = this.element;
        this.element.hidden = !place;
        if (!place) return;
        style.setProperty("width", `${Math.round(place.width)}px`);
        style.setProperty("height", `${Math.round(place.height)}px`);
        style.setProperty("transform", `translate(${Math.round(place.left)}px, ${Math.round(place.top)}px)`);
        this.element.classList.toggle("small", place.small);
    }

    /** A picture taller than wide, or far from its tile's shape, is shown whole. */
    #shape() {
        if (!this.video) return;
        this.video.classList.toggle("upright", this.video.videoHeight > this.video.videoWidth);
    }

    /** @param {boolean} pictured */
    #frozen(pictured) {
        if (!this.video || !pictured || this.tile.self || this.tile.whole || document.visibilityState === "hidden") return false;
        const frames = this.video.getVideoPlaybackQuality().totalVideoFrames;
        const now = performance.now();
        if (frames !== this.#frames) {
            this.#frames = frames;
            this.#movedAt = now;
        }
        return now - this.#movedAt > frozenAfter;
    }

    /** @param {string} text */
    #setWords(text) {
        this.words.hidden = text === "";
        setText(this.words, text);
    }

    /**
     * @param {import("../shared/consilium").ParticipantState | undefined} person
     * @param {Tile} tile
     */
    #setMarks(person, tile) {
        const { state } = this.room.call.model;
        const holder = tile.participant !== "" && state.floor.holder === tile.participant;
        const spotlit = state.spotlight?.participant === tile.participant && state.spotlight?.stream === tile.stream;
        /** @type {([string, string] | null)[]} */
        const possible = [
            person?.hand && !tile.whole ? ["hand", "Hand raised"] : null,
            holder && !tile.whole ? ["floor", "Has the floor"] : null,
            spotlit ? ["spotlight", "Shown to everybody"] : null,
        ];
        const marks = /** @type {[string, string][]} */ (possible.filter((mark) => mark !== null));
        const wanted = marks.map(([symbol]) => symbol).join();
        if (this.marks.dataset["marks"] === wanted) return;
        this.marks.dataset["marks"] = wanted;
        this.marks.replaceChildren(
            ...marks.map(([symbol, title]) => h("span", { class: `mark ${symbol}`, title }, icon(symbol))),
        );
    }

    #openMenu() {
        openMenu(this.more, `Actions for ${this.element.getAttribute("aria-label")}`, this.room.tileMenu(this.tile, this.element));
    }

    remove() {
        this.surface?.destroy();
        if (this.video) this.video.srcObject = null;
    }
}

/** @param {import("../shared/consilium").ParticipantState | undefined} person */
export function soundOn(person) {
    return Object.values(person?.streams ?? {}).some((stream) => stream.kind === "audio" && !stream.muted);
}
