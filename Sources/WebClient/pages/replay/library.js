// The list of recordings: poster, title, when, how long, how many people; searched as one types.

import { h, icon, iconButton, KeyedList, setText } from "../shared/dom.js";
import { clock } from "../shared/format.js";
import { address } from "./address.js";

/** @typedef {import("./api.js").Summary} Summary */

export class Library {
    /**
     * @param {HTMLElement} app
     * @param {import("./api.js").Server} server
     * @param {Summary[]} recordings newest first
     */
    constructor(app, server, recordings) {
        this.server = server;
        this.recordings = recordings;
        document.title = "Recordings – Consilium";
        this.words = h("p", { class: "soft small", role: "status" });
        this.grid = h("ul", { class: "recordings" });
        this.list = new KeyedList(this.grid, {
            key: (/** @type {Summary} */ item) => item.recording,
            create: (item) => this.#card(item),
            update: () => {},
        });
        this.field = h("input", {
            type: "search", class: "input", id: "find", placeholder: "Title or room", autocomplete: "off",
            oninput: () => this.#render(),
        });
        app.replaceChildren(
            h("a", { class: "skip-link", href: "#recordings", text: "Skip to the recordings", onclick: (/** @type {Event} */ event) => this.#skip(event) }),
            h(
                "header", { class: "recordings-header" },
                h("a", { class: "brand", href: "/" }, icon("mark"), "Consilium"),
                iconButton("sun", "Switch between dark and light", () => void window.consiliumTheme?.toggle()),
            ),
            h(
                "main", { class: "recordings-page" },
                h(
                    "div", { class: "recordings-title" },
                    h("div", {}, h("h1", { text: "Recordings" }), this.words),
                    h("div", { class: "field find" }, h("label", { for: "find", text: "Find", class: "visually-hidden" }), icon("search"), this.field),
                ),
                this.grid,
            ),
        );
        this.#render();
    }

    /** @param {Event} event */
    #skip(event) {
        event.preventDefault();
        /** @type {HTMLElement | null} */ (this.grid.querySelector("a"))?.focus();
    }

    #render() {
        const wanted = this.field.value.trim().toLocaleLowerCase();
        const found = this.recordings.filter((item) => `${item.title} ${item.room}`.toLocaleLowerCase().includes(wanted));
        this.list.render(found);
        if (this.recordings.length === 0) setText(this.words, "Nothing has been recorded yet. What is recorded appears here the moment its session ends.");
        else if (found.length === 0) setText(this.words, `No recording is called “${this.field.value.trim()}”.`);
        else setText(this.words, found.length === 1 ? "1 recording" : `${found.length} recordings`);
    }

    /** @param {Summary} item */
    #card(item) {
        const started = new Date(item.started);
        const when = Number.isNaN(started.getTime())
            ? item.started
            : started.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
        const length = clock(item.duration / 1e9);
        const people = item.participants ?? 0;
        const poster = h("img", {
            src: this.server.path(item.recording, "poster.png"), alt: "", loading: "lazy", decoding: "async",
            onerror: () => poster.replaceWith(icon("play")),
        });
        return h(
            "li", {},
            h(
                "a", { class: "recording-card card", href: address(item.recording, 0) },
                h(
                    "div", { class: "poster" }, poster,
                    h("span", { class: "length numeric", text: length, "aria-label": `Length ${length}` }),
                ),
                h("h2", { text: item.title || item.room }),
                h(
                    "p", { class: "facts small soft" },
                    h("span", { text: when }),
                    h("span", { text: item.room }),
                    people > 0 && h("span", { text: people === 1 ? "1 person" : `${people} people` }),
                    item.state === "recording" && h("span", { class: "chip danger", text: "still recording" }),
                    item.state === "recovered" && h("span", { class: "chip warning", text: "recovered" }),
                ),
            ),
        );
    }

    destroy() {}
}
