// The keys of a replay, and the help that lists them.

import { h } from "../shared/dom.js";
import { openDialog } from "../shared/overlays.js";

/** @typedef {import("./player.js").Player} Player */
/** @typedef {{ keys: string[], shown: string[], words: string, run: (player: Player) => void, onlyOutside?: boolean }} Key */

/** @param {number} seconds */
const move = (seconds) => (/** @type {Player} */ player) => player.seek(player.clock.now + seconds);

/** @type {Key[]} */
const keys = [
    { keys: [" ", "k"], shown: ["Space", "K"], words: "Play or pause", run: (player) => player.toggle() },
    { keys: ["ArrowLeft"], shown: ["←"], words: "5 seconds back", run: move(-5) },
    { keys: ["ArrowRight"], shown: ["→"], words: "5 seconds forward", run: move(5) },
    { keys: ["j"], shown: ["J"], words: "10 seconds back", run: move(-10) },
    { keys: ["l"], shown: ["L"], words: "10 seconds forward", run: move(10) },
    { keys: ["PageDown"], shown: ["Page ↓"], words: "1 minute back", run: move(-60) },
    { keys: ["PageUp"], shown: ["Page ↑"], words: "1 minute forward", run: move(60) },
    { keys: [","], shown: [","], words: "One picture back", run: (player) => { player.clock.pause(); move(-0.04)(player); } },
    { keys: ["."], shown: ["."], words: "One picture forward", run: (player) => { player.clock.pause(); move(0.04)(player); } },
    { keys: ["Home"], shown: ["Home"], words: "To the beginning", run: (player) => player.seek(0) },
    { keys: ["End"], shown: ["End"], words: "To the end", run: (player) => player.seek(player.duration) },
    { keys: ["p"], shown: ["P"], words: "Previous mark", run: (player) => player.toMark(-1) },
    { keys: ["n"], shown: ["N"], words: "Next mark", run: (player) => player.toMark(1) },
    { keys: ["<"], shown: ["<"], words: "Slower", run: (player) => player.changeRate(-1) },
    { keys: [">"], shown: [">"], words: "Faster", run: (player) => player.changeRate(1) },
    { keys: ["ArrowUp"], shown: ["↑"], words: "Louder", run: (player) => player.setVolume(player.volume + 0.05) },
    { keys: ["ArrowDown"], shown: ["↓"], words: "Softer", run: (player) => player.setVolume(player.volume - 0.05) },
    { keys: ["m"], shown: ["M"], words: "Sound on or off", run: (player) => player.toggleMute() },
    { keys: ["r"], shown: ["R"], words: "Back to the recorded image", run: (player) => player.followImages() },
    { keys: ["s"], shown: ["S"], words: "One large picture", run: (player) => player.setLayout("stage") },
    { keys: ["d"], shown: ["D"], words: "Two side by side", run: (player) => player.setLayout("side") },
    { keys: ["g"], shown: ["G"], words: "All the same size", run: (player) => player.setLayout("grid") },
    { keys: ["c"], shown: ["C"], words: "People and chat", run: (player) => player.togglePanel() },
    { keys: ["f"], shown: ["F"], words: "Full screen", run: (player) => player.fullscreen() },
    { keys: ["?"], shown: ["?"], words: "These keys", run: (player) => player.keys.help() },
];

/** Keys that belong to whatever has the focus. */
const own = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown", " "]);

export class Keys {
    /** @param {Player} player */
    constructor(player) {
        this.player = player;
        document.addEventListener("keydown", this.#pressed);
    }

    #pressed = (/** @type {KeyboardEvent} */ event) => {
        if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
        const target = /** @type {Element} */ (event.target);
        if (document.querySelector("dialog[open]") || target.closest("textarea, [contenteditable], input:not([type=range])")) return;
        // Arrows and the space bar stay with buttons, fields, the log and the images; the bar's are ours.
        const isBar = target.closest(".bar") !== null;
        if (own.has(event.key) && !isBar && target.closest("button, a, select, input, [role=log], canvas")) return;
        if (target.closest("select") || target.closest("canvas") && event.key !== "r") return;
        const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
        if (/^[0-9]$/.test(name)) {
            this.player.seek((Number(name) / 10) * this.player.duration);
            event.preventDefault();
            return;
        }
        const key = keys.find((candidate) => candidate.keys.includes(name));
        if (!key) return;
        event.preventDefault();
        key.run(this.player);
    };

    help() {
        const list = h("dl", { class: "key-list" });
        for (const { shown, words } of keys) {
            list.append(h("div", {}, h("dt", {}, ...shown.map((text) => h("kbd", { text }))), h("dd", { text: words })));
        }
        list.append(h("div", {}, h("dt", {}, h("kbd", { text: "0" }), " – ", h("kbd", { text: "9" })), h("dd", { text: "To that tenth of the recording" })));
        openDialog("Keys", [list]);
    }

    destroy() {
        document.removeEventListener("keydown", this.#pressed);
    }
}
