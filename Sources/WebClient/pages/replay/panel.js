// Beside the pictures: who was there at this moment, and what was written until then.

import { h, icon, KeyedList, setText } from "../shared/dom.js";
import { clock, hue, initials } from "../shared/format.js";
import { roleName } from "../shared/words.js";

/** @typedef {import("../shared/room-state.js").RoomState} RoomState */
/** @typedef {RoomState["chat"][number]} Message */

export class Panel {
    #last = "";

    /** @param {{ start: number, seek: (t: number) => void }} player `start`: session nanoseconds */
    constructor(player) {
        this.player = player;
        this.people = h("ul", { class: "panel-people" });
        this.log = h("ol", { class: "panel-chat scroll", tabIndex: 0, role: "log", "aria-label": "Chat until this moment", "aria-live": "off" });
        this.empty = h("p", { class: "faint small", text: "Nothing has been written until here." });
        this.element = h(
            "aside", { class: "panel", "aria-label": "People and chat" },
            h("h2", { text: "People" }), this.people,
            h("h2", { text: "Chat" }), this.empty, this.log,
        );
        this.peopleList = new KeyedList(this.people, {
            key: (/** @type {[string, RoomState["participants"][string]]} */ [id]) => id,
            create: ([id]) => this.#person(id),
            update: (node, [, person]) => this.#updatePerson(node, person),
        });
        this.chatList = new KeyedList(this.log, {
            key: (/** @type {Message} */ message) => message.message || String(message.t),
            create: (message) => this.#message(message),
            update: () => {},
        });
    }

    /** @param {RoomState} state */
    show(state) {
        const people = Object.entries(state.participants).filter(([, person]) => person.status !== "waiting");
        this.floor = state.floor.holder;
        this.peopleList.render(people);
        this.empty.hidden = state.chat.length > 0;
        this.chatList.render(state.chat);
        const last = state.chat[state.chat.length - 1]?.message ?? "";
        if (last !== this.#last) {
            this.#last = last;
            this.log.scrollTop = this.log.scrollHeight;
        }
    }

    /** @param {string} id */
    #person(id) {
        const badge = h("span", { class: "avatar", "aria-hidden": "true" });
        badge.style.setProperty("--hue", String(hue(id)));
        return h("li", { data: { participant: id } }, badge, h("span", { class: "panel-name" }), h("span", { class: "panel-role faint small" }), h("span", { class: "panel-marks" }));
    }

    /** @param {HTMLElement} node @param {RoomState["participants"][string]} person */
    #updatePerson(node, person) {
        const [badge, name, role, marks] = /** @type {HTMLElement[]} */ ([...node.children]);
        if (!badge || !name || !role || !marks) return;
        setText(badge, initials(person.name));
        setText(name, person.name);
        setText(role, person.status === "disconnected" ? "connection lost" : roleName(person.role));
        const hasFloor = this.floor !== null && this.floor === node.dataset.participant;
        const wanted = `${person.hand}${hasFloor}`;
        if (marks.dataset.marks === wanted) return;
        marks.dataset.marks = wanted;
        marks.replaceChildren();
        if (hasFloor) marks.append(h("span", { class: "mark floor", role: "img", "aria-label": "has the floor", title: "Has the floor" }, icon("floor")));
        if (person.hand) marks.append(h("span", { class: "mark hand", role: "img", "aria-label": "hand raised", title: "Hand raised" }, icon("hand")));
    }

    /** @param {Message} message */
    #message(message) {
        const t = Math.max(0, (message.t - this.player.start) / 1e9);
        return h(
            "li", {},
            h(
                "p", { class: "panel-from small" }, h("strong", { text: message.name || "Somebody" }),
                h("button", {
                    type: "button", class: "panel-time numeric", text: clock(t), title: "Go to this moment",
                    "aria-label": `Go to ${clock(t)}`, onclick: () => this.player.seek(t),
                }),
            ),
            h("p", { class: "panel-text", text: message.text }),
        );
    }
}
