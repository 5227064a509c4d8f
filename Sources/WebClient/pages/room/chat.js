// The panel of written messages.

import { KeyedList, h, icon, iconButton, setText } from "../shared/dom.js";
import { clock } from "../shared/format.js";

/** @typedef {import("./room-view.js").RoomView} RoomView */
/** @typedef {import("../shared/consilium").ChatMessage} ChatMessage */

const longest = 4_000;

export class ChatPanel {
    title = "Chat";

    /** @param {RoomView} room */
    constructor(room) {
        this.room = room;
        this.list = h("ol", { class: "messages scroll", "aria-label": "Messages", tabIndex: 0 });
        this.empty = h("div", { class: "panel-empty" }, icon("chat"), h("p", { text: "No messages yet. What is written here is seen by everybody and kept with the recording." }));
        this.input = h("textarea", {
            class: "textarea", rows: 1, maxLength: longest, placeholder: "Write to everybody", "aria-label": "Message to everybody",
            oninput: () => this.#grow(),
            onkeydown: (/** @type {KeyboardEvent} */ event) => {
                if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
                event.preventDefault();
                void this.#send();
            },
        });
        this.sendButton = iconButton("send", "Send", () => void this.#send(), "send");
        this.form = h("div", { class: "chat-form" }, this.input, this.sendButton);
        this.silent = h("p", { class: "panel-note small soft", hidden: true, text: "Your role reads along; it does not write." });
        this.element = h("div", { class: "panel-body chat" }, this.empty, this.list, this.form, this.silent);
        this.messages = new KeyedList(this.list, {
            key: (/** @type {ChatMessage} */ message) => message.message,
            create: (message) => this.#message(message),
            update: () => undefined,
        });
    }

    focus() {
        this.input.focus();
    }

    render() {
        const { model } = this.room.call;
        const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 40;
        const count = this.list.childElementCount;
        this.messages.render(model.state.chat);
        this.empty.hidden = model.state.chat.length > 0;
        this.list.hidden = model.state.chat.length === 0;
        this.form.hidden = !model.may("chat");
        this.silent.hidden = model.may("chat");
        if (this.list.childElementCount !== count && (atEnd || count === 0)) this.list.scrollTop = this.list.scrollHeight;
    }

    /** @param {ChatMessage} message */
    #message(message) {
        const own = message.participant === this.room.call.model.self;
        const text = h("p", { class: "message-text" });
        appendLinked(text, message.text);
        const name = h("strong");
        setText(name, own ? "You" : message.name || "Somebody");
        return h("li", { class: own ? "said own" : "said" }, h("div", { class: "said-by" }, name, h("time", { class: "numeric faint", text: clock(message.t / 1e9) })), text);
    }

    async #send() {
        const text = this.input.value.trim();
        if (!text) return;
        this.sendButton.disabled = true;
        const sent = await this.room.call.perform("chat.send", { text });
        this.sendButton.disabled = false;
        if (!sent) return;
        this.input.value = "";
        this.#grow();
        this.input.focus();
    }

    #grow() {
        this.input.style.setProperty("height", "auto");
        this.input.style.setProperty("height", `${Math.min(this.input.scrollHeight + 2, 160)}px`);
    }
}

/**
 * Writes text with its web addresses made links; everything stays text, so nothing in it can act.
 * @param {HTMLElement} element
 * @param {string} text
 */
function appendLinked(element, text) {
    for (const [index, part] of text.split(/(https?:\/\/[^\s<>"]+)/g).entries()) {
        if (index % 2 === 0) element.append(part);
        else element.append(h("a", { href: part, text: part, target: "_blank", rel: "noopener noreferrer" }));
    }
}
