// The panel of participants: who waits at the door, who is here, and what may be done about it.

import { KeyedList, h, icon, iconButton, setAttribute, setText } from "../shared/dom.js";
import { hue, initials } from "../shared/format.js";
import { openMenu } from "../shared/overlays.js";
import { roleName } from "../shared/words.js";
import { soundOn } from "./tile.js";

/** @typedef {import("./room-view.js").RoomView} RoomView */
/** @typedef {import("../shared/consilium").ParticipantState} ParticipantState */
/** @typedef {[id: string, person: ParticipantState]} Entry */

export class PeoplePanel {
    title = "Participants";

    /** @param {RoomView} room */
    constructor(room) {
        this.room = room;
        this.waitingHeading = h("h3", { text: "Waiting to be let in" });
        this.waiting = h("ul", { class: "people waiting" });
        this.presentHeading = h("h3", { text: "In the room" });
        this.present = h("ul", { class: "people" });
        this.element = h("div", { class: "panel-body scroll" }, this.waitingHeading, this.waiting, this.presentHeading, this.present);
        this.waitingList = new KeyedList(this.waiting, {
            key: (/** @type {Entry} */ [id]) => id,
            create: ([id, person]) => this.#waitingRow(id, person),
            update: () => undefined,
        });
        this.presentList = new KeyedList(this.present, {
            key: (/** @type {Entry} */ [id]) => id,
            create: ([id]) => this.#row(id),
            update: (row, [id, person]) => this.#update(row, id, person),
        });
    }

    render() {
        const { model } = this.room.call;
        const all = Object.entries(model.state.participants);
        const waiting = model.may("admit") ? all.filter(([, person]) => person.status === "waiting") : [];
        this.waitingHeading.hidden = waiting.length === 0;
        this.waitingList.render(waiting);
        const present = all.filter(([, person]) => person.status !== "waiting").sort((a, b) => rank(b, model.self) - rank(a, model.self));
        setText(this.presentHeading, `In the room (${present.length})`);
        this.presentHeading.hidden = waiting.length === 0;
        this.presentList.render(present);
    }

    /**
     * @param {string} id
     * @param {ParticipantState} person
     */
    #waitingRow(id, person) {
        return h(
            "li", { class: "person" }, badge(id, person),
            h("div", { class: "person-words" }, h("strong", { text: person.name }), h("span", { class: "small faint", text: roleName(person.role) })),
            h("button", {
                type: "button", class: "button compact primary", text: "Admit", "aria-label": `Admit ${person.name}`,
                onclick: () => void this.room.call.perform("lobby.admit", { participant: id }),
            }),
            iconButton("close", `Do not admit ${person.name}`, () => void this.room.call.perform("lobby.reject", { participant: id })),
        );
    }

    /** @param {string} id */
    #row(id) {
        const more = iconButton("more", "More", () => {
            const person = this.room.call.model.state.participants[id];
            if (person) openMenu(more, `Actions for ${person.name}`, this.room.personMenu(id));
        });
        more.setAttribute("aria-haspopup", "menu");
        const person = this.room.call.model.state.participants[id];
        return h(
            "li", { class: "person" }, person ? badge(id, person) : null,
            h("div", { class: "person-words" }, h("strong"), h("span", { class: "small faint" })), h("span", { class: "person-marks" }), more,
        );
    }

    /**
     * @param {HTMLElement} row
     * @param {string} id
     * @param {ParticipantState} person
     */
    #update(row, id, person) {
        const { model } = this.room.call;
        const [strong, small] = /** @type {any} */ (row.querySelector(".person-words")).children;
        setText(strong, id === model.self ? `${person.name} (you)` : person.name);
        const recording = model.state.recording;
        const consent = !recording || person.device ? "" : person.consent === true ? "agreed to the recording"
            : person.consent === false ? "does not agree to the recording" : "has not answered about the recording";
        const status = person.status === "disconnected" ? "connection lost" : "";
        setText(small, [roleName(person.role), status, consent].filter(Boolean).join(" · "));
        small.classList.toggle("attention", person.consent === false && recording !== null);
        row.classList.toggle("away", person.status === "disconnected");
        row.classList.toggle("speaking", model.speaking(id));
        /** @type {([string, string] | null)[]} */
        const possible = [
            person.hand ? ["hand", "Hand raised"] : null,
            model.state.floor.holder === id ? ["floor", "Has the floor"] : null,
            person.device ? ["device", "Device"] : null,
            soundOn(person) ? ["mic", "Microphone on"] : ["mic-off", "Microphone off"],
        ];
        const marks = /** @type {[string, string][]} */ (possible.filter((mark) => mark !== null));
        const place = /** @type {HTMLElement} */ (row.querySelector(".person-marks"));
        const wanted = marks.map(([symbol]) => symbol).join();
        if (place.dataset["marks"] !== wanted) {
            place.dataset["marks"] = wanted;
            place.replaceChildren(
                ...marks.map(([symbol, title]) => h("span", { class: `mark ${symbol}`, title, role: "img", "aria-label": title }, icon(symbol))),
            );
        }
        const more = /** @type {HTMLButtonElement} */ (row.lastElementChild);
        setAttribute(more, "aria-label", `Actions for ${person.name}`);
        more.hidden = this.room.personMenu(id).length === 0;
    }
}

/**
 * Raised hands first, then who runs the room, then the order of arrival.
 * @param {Entry} entry
 * @param {string} self
 */
function rank([id, person], self) {
    return (person.hand ? 8 : 0) + (person.role === "chair" ? 4 : 0) + (person.role === "presenter" ? 2 : 0) + (id === self ? 1 : 0);
}

/**
 * @param {string} id
 * @param {ParticipantState} person
 */
function badge(id, person) {
    const element = h("span", { class: "avatar", "aria-hidden": "true", text: initials(person.name) });
    element.style.setProperty("--hue", String(hue(id)));
    return element;
}
