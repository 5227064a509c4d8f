// Asks whoever is being recorded whether they agree; the answer is part of the recording.

import { h, icon, setText } from "../shared/dom.js";

/** @typedef {import("./room-view.js").RoomView} RoomView */

export class ConsentBanner {
    /** @param {RoomView} room */
    constructor(room) {
        this.room = room;
        this.words = h("span", {}, "");
        this.element = h(
            "div", { class: "consent", role: "region", "aria-label": "Recording", hidden: true }, icon("record"),
            h("div", {}, h("strong", { text: "This session is being recorded" }), this.words),
            h("div", { class: "consent-actions" }, this.#button("I do not agree", false, "quiet"), this.#button("I agree", true, "primary")),
        );
    }

    /**
     * @param {string} label
     * @param {boolean} given
     * @param {string} className
     */
    #button(label, given, className) {
        return h("button", {
            type: "button", class: `button compact ${className}`, text: label,
            onclick: () => void this.room.call.perform("recording.consent", { given }),
        });
    }

    render() {
        const { model } = this.room.call;
        const wanted = model.state.recording !== null && model.me !== undefined && model.me.consent === null;
        this.element.hidden = !wanted;
        const sends = model.may("publish") || model.may("speak");
        setText(this.words, sends ? "Your picture, sound and messages are kept with it. Do you agree?" : "Your name and messages are kept with it. Do you agree?");
    }
}
