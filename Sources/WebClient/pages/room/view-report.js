// Tells the server what this page shows of whom and how large, so that nothing else is sent to it.

/** @typedef {import("./room-view.js").RoomView} RoomView */
/** @typedef {{ participant: string, stream: string, width: number, height: number, screen: number, pinned: boolean }} ShownStream */

/** At most four reports a second. */
const interval = 250;
/** What changes at the same time is one report. */
const gathering = 30;
/** Sizes are told in steps: a window that is being drawn larger does not ask for every pixel. */
const step = 16;

export class ViewReport {
    #timer = 0;
    #sentAt = -Infinity;
    #said = "";

    /** @param {RoomView} room */
    constructor(room) {
        this.room = room;
        document.addEventListener("visibilitychange", this.#turned);
        document.addEventListener("enterpictureinpicture", this.changed, true);
        document.addEventListener("leavepictureinpicture", this.changed, true);
        room.call.media.addEventListener("state", this.#again);
        room.call.addEventListener("entered", this.#again);
    }

    /** Something may have moved. */
    changed = () => {
        if (this.#timer) return;
        const wait = Math.max(gathering, this.#sentAt + interval - performance.now());
        this.#timer = window.setTimeout(() => {
            this.#timer = 0;
            this.#send();
        }, wait);
    };

    /** The tab went out of sight or came back: who looks at it waits for the pictures. */
    #turned = () => {
        window.clearTimeout(this.#timer);
        this.#timer = 0;
        this.#sentAt = -Infinity;
        this.changed();
    };

    /** The server may have forgotten what it was told. */
    #again = () => {
        this.#said = "";
        this.changed();
    };

    /** @returns {ShownStream[]} */
    #shown() {
        const { model } = this.room.call;
        const places = [...this.room.stage.shown(), ...this.room.popouts.shown()];
        return places
            .map(({ tile, width, height, screen }) => ({
                participant: tile.participant, stream: tile.stream, width: inSteps(width), height: inSteps(height), screen,
                pinned: model.pinned.includes(tile.key),
            }))
            .filter(({ width, height }) => width > 0 && height > 0)
            .slice(0, 256);
    }

    #send() {
        const { connection, media } = this.room.call;
        if (connection.status !== "open" || media.state !== "connected") return;
        const streams = this.#shown();
        const words = JSON.stringify(streams);
        if (words === this.#said) return;
        this.#said = words;
        this.#sentAt = performance.now();
        connection.request("view.set", { streams }).catch(() => {
            // After a break the page comes back and says it again.
            this.#said = "";
        });
    }

    destroy() {
        window.clearTimeout(this.#timer);
        document.removeEventListener("visibilitychange", this.#turned);
        document.removeEventListener("enterpictureinpicture", this.changed, true);
        document.removeEventListener("leavepictureinpicture", this.changed, true);
        this.room.call.media.removeEventListener("state", this.#again);
        this.room.call.removeEventListener("entered", this.#again);
    }
}

/** @param {number} pixels */
const inSteps = (pixels) => Math.min(32_768, Math.ceil(pixels / step) * step);
