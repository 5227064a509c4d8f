// The room's keys, and the help that lists them.

import { h } from "../shared/dom.js";
import { openDialog } from "../shared/overlays.js";
import { actions } from "./actions.js";

/** @typedef {import("./room-view.js").RoomView} RoomView */

const storageKey = "consilium.keys";

/** Single keys can be switched off: speech input and trembling hands press them by accident (WCAG 2.1.4). */
function keysOn() {
    try {
        return localStorage.getItem(storageKey) !== "off";
    } catch {
        return true;
    }
}

export class Keys {
    /** @param {RoomView} room */
    constructor(room) {
        this.room = room;
        document.addEventListener("keydown", this.#pressed);
    }

    #pressed = (/** @type {KeyboardEvent} */ event) => {
        if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
        const target = /** @type {Element} */ (event.target);
        if (document.querySelector("dialog[open]")) return;
        if (event.key === "Escape") {
            if (this.room.call.model.panel) this.room.call.model.togglePanel(null);
            return;
        }
        if (target.closest("input, textarea, select, [contenteditable]") || !keysOn()) return;
        const action = actions.find((candidate) => candidate.key === event.key.toLowerCase());
        if (!action || !(action.visible?.(this.room) ?? true)) return;
        event.preventDefault();
        action.run(this.room, null);
    };

    destroy() {
        document.removeEventListener("keydown", this.#pressed);
    }
}

/** @param {RoomView} room */
export function openHelpDialog(room) {
    const rows = actions
        .filter((action) => action.key && (action.visible?.(room) ?? true))
        .map((action) => h("div", {}, h("dt", {}, h("kbd", { text: action.key?.toUpperCase() ?? "" })), h("dd", { text: action.label(room) })));
    rows.push(
        h("div", {}, h("dt", {}, h("kbd", { text: "Esc" })), h("dd", { text: "Close the panel or menu" })),
        h("div", {}, h("dt", {}, h("kbd", { text: "←" }), " ", h("kbd", { text: "→" })), h("dd", { text: "Walk along the toolbar" })),
    );
    const box = h("input", {
        type: "checkbox", checked: keysOn(),
        onchange: () => {
            try {
                localStorage.setItem(storageKey, box.checked ? "on" : "off");
            } catch {
                // Then they stay on.
            }
        },
    });
    openDialog("Keys and help", [
        h("dl", { class: "keys" }, ...rows),
        h("label", { class: "check" }, box, "Single keys act on the room"),
        h("p", { class: "small soft", text: "Double-click a picture to put it on the stage. Press the image viewer's own keys while it has the focus." }),
    ]);
}
