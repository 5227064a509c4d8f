// The panel of imaging studies: finds a series and opens it for everybody.

import { h, icon, setText } from "../shared/dom.js";
import { dicomDate, personName } from "../shared/format.js";

/** @typedef {import("./room-view.js").RoomView} RoomView */
/** @typedef {import("../shared/consilium").StudySummary} StudySummary */
/** @typedef {import("../shared/consilium").SeriesSummary} SeriesSummary */

const mainViewport = "main";

export class ImagingPanel {
    title = "Images";
    /** @type {StudySummary[] | null} */
    #studies = null;
    #asking = false;
    #shown = "";

    /** @param {RoomView} room */
    constructor(room) {
        this.room = room;
        this.search = h("input", {
            class: "input", type: "search", placeholder: "Patient, study or series", "aria-label": "Search studies", oninput: () => this.#list(true),
        });
        this.note = h("p", { class: "panel-note small soft" });
        this.list = h("div", { class: "studies scroll" });
        this.closeButton = h("button", {
            type: "button", class: "button compact", text: "Close the image for everybody",
            onclick: () => void this.room.call.perform("viewport.close", { viewport: mainViewport }),
        });
        this.element = h("div", { class: "panel-body imaging" }, h("div", { class: "panel-tools" }, this.search, this.note, this.closeButton), this.list);
    }

    render() {
        const { model } = this.room.call;
        if (!this.#studies && !this.#asking) void this.#load();
        const holder = model.state.floor.holder;
        const open = Object.hasOwn(model.state.viewports, mainViewport);
        this.closeButton.hidden = !open || !model.hasFloor;
        setText(
            this.note,
            model.hasFloor ? "You have the floor: what you open, everybody sees."
                : holder ? `${model.name(holder)} has the floor and opens images.`
                : "Opening a series takes the floor.",
        );
        this.#list(false);
    }

    async #load() {
        this.#asking = true;
        this.list.replaceChildren(h("p", { class: "panel-note soft", text: "Looking for studies …" }));
        try {
            const response = await this.room.call.fetch("/v1/imaging/studies");
            if (!response.ok) throw new Error(`The server answered ${response.status}.`);
            this.#studies = (await response.json()).studies;
            this.#list(true);
        } catch (error) {
            const again = h("button", {
                type: "button", class: "button compact", text: "Try again",
                onclick: () => {
                    this.#asking = false;
                    this.render();
                },
            });
            this.list.replaceChildren(
                h(
                    "div", { class: "panel-empty" }, icon("warning"),
                    h("p", { text: `The list of studies did not load. ${error instanceof Error ? error.message : ""}` }), again,
                ),
            );
        }
    }

    /** @param {boolean} anyway */
    #list(anyway) {
        if (!this.#studies) return;
        const open = this.room.call.model.state.viewports[mainViewport]?.series ?? "";
        if (!anyway && this.#shown === open) return;
        this.#shown = open;
        const words = this.search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
        const cards = [];
        for (const study of this.#studies) {
            const studyText = [study.patient, personName(study.patient), study.description, study.date].join(" ").toLowerCase();
            const series = study.series.filter((entry) => {
                const text = `${studyText} ${entry.modality} ${entry.description}`.toLowerCase();
                return words.every((word) => text.includes(word));
            });
            if (series.length > 0) cards.push(this.#study(study, series, open));
        }
        if (cards.length === 0) {
            const text = this.#studies.length === 0 ? "There are no studies in this server's folder." : "Nothing matches.";
            this.list.replaceChildren(h("div", { class: "panel-empty" }, icon("imaging"), h("p", { text })));
        } else {
            this.list.replaceChildren(...cards);
        }
    }

    /**
     * @param {string} study
     * @param {string} series
     */
    async #open(study, series) {
        const { call } = this.room;
        const opened = await call.perform("viewport.open", { viewport: mainViewport, study, series });
        // On a narrow screen the panel lies over the picture it has just opened.
        if (opened && window.matchMedia("(max-width: 52rem)").matches && call.model.panel === "imaging") call.model.togglePanel(null);
    }

    /**
     * @param {StudySummary} study
     * @param {SeriesSummary[]} series
     * @param {string} open
     */
    #study(study, series, open) {
        return h(
            "section", { class: "study" },
            h(
                "header", {}, h("h3", { text: personName(study.patient) || "Unnamed patient" }),
                h("p", { class: "small soft", text: [study.description, dicomDate(study.date ?? "")].filter(Boolean).join(" · ") }),
            ),
            h("ul", {}, ...series.map((entry) => h("li", {}, this.#series(study, entry, open)))),
        );
    }

    /**
     * @param {StudySummary} study
     * @param {SeriesSummary} series
     * @param {string} open
     */
    #series(study, series, open) {
        const images = `${series.instances} image${series.instances === 1 ? "" : "s"}`;
        const button = h(
            "button",
            {
                type: "button", class: "series", disabled: !series.supported, data: { series: series.series },
                onclick: () => void this.#open(study.study, series.series),
            },
            h("span", { class: "chip accent", text: series.modality || "?" }),
            h(
                "span", { class: "series-words" },
                h("span", { class: "series-name", text: series.description || `Series ${series.number ?? ""}`.trim() }),
                h("span", { class: "small faint", text: series.supported ? images : series.reason ?? "This kind of image cannot be shown." }),
            ),
            series.series === open ? h("span", { class: "chip", text: "Open" }) : null,
        );
        if (series.series === open) button.setAttribute("aria-current", "true");
        return button;
    }
}
