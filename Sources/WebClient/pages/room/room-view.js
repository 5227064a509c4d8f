// The room page: header, stage, panels and toolbar, drawn from the model whenever it changes.

import { h, icon, iconButton, setAttribute, setText } from "../shared/dom.js";
import { clock } from "../shared/format.js";
import { openDialog, openMenu } from "../shared/overlays.js";
import { kindName } from "../shared/words.js";
import { announce, toast } from "./announce.js";
import { ChatPanel } from "./chat.js";
import { ConsentBanner } from "./consent.js";
import { openDevicesDialog } from "./devices-dialog.js";
import { ImagingPanel } from "./imaging.js";
import { Keys, openHelpDialog } from "./keys.js";
import { layoutMenu, personMenu, shareMenu, tileMenu } from "./menus.js";
import { narrate } from "./narrator.js";
import { PeoplePanel } from "./people.js";
import { Popouts } from "./popouts.js";
import { Sounds } from "./sounds.js";
import { Stage } from "./stage.js";
import { StatisticsPanel } from "./statistics.js";
import { Toolbar } from "./toolbar.js";
import { ViewReport } from "./view-report.js";
import { ViewportHub } from "./viewports.js";

/** @typedef {import("./call.js").Call} Call */
/** @typedef {import("./scene.js").Tile} Tile */

/** @type {import("./model.js").Layout[]} */
const layouts = ["stage", "grid", "side"];

export class RoomView {
    #shownPanel = /** @type {import("./model.js").Panel} */ (null);
    #clockTimer = 0;

    /**
     * @param {HTMLElement} container
     * @param {Call} call
     */
    constructor(container, call) {
        this.call = call;
        this.viewports = new ViewportHub(call);
        this.popouts = new Popouts(this);
        this.stage = new Stage(this);
        this.viewReport = new ViewReport(this);
        this.toolbar = new Toolbar(this);
        this.consent = new ConsentBanner(this);
        this.panels = {
            people: new PeoplePanel(this), chat: new ChatPanel(this), imaging: new ImagingPanel(this), statistics: new StatisticsPanel(this),
        };
        this.keys = new Keys(this);
        this.title = h("h1", { class: "room-title" });
        this.kind = h("span", { class: "room-kind" });
        this.recordingTime = h("span", { class: "numeric" });
        this.recording = h("span", { class: "recording-mark", hidden: true, role: "status" }, h("i", { "aria-hidden": "true" }), h("span", { text: "Recording" }), this.recordingTime);
        this.elapsed = h("span", { class: "elapsed numeric", title: "Time since the room opened" });
        this.connectionWords = h("span");
        this.connection = h(
            "button", { type: "button", class: "connection", title: "Connection and statistics", onclick: () => call.model.togglePanel("statistics") },
            icon("signal"), this.connectionWords,
        );
        this.header = h(
            "header", { class: "room-header" },
            h("span", { class: "brand", "aria-hidden": "true" }, icon("mark")),
            h("div", { class: "room-names" }, this.title, this.kind), this.recording,
            h("div", { class: "room-facts" }, this.elapsed, this.connection),
        );
        this.trouble = h("div", { class: "trouble", role: "status", hidden: true });
        this.panelTitle = h("h2");
        this.panelPlace = h("div", { class: "panel-place" });
        this.panel = h(
            "aside", { class: "panel", hidden: true, tabIndex: -1 },
            h("header", {}, this.panelTitle, iconButton("close", "Close panel", () => call.model.togglePanel(null))), this.panelPlace,
        );
        const footer = h("footer", { class: "room-footer" }, this.toolbar.element);
        const soundsPlace = h("div", { hidden: true });
        this.sounds = new Sounds(call, soundsPlace);
        this.element = h(
            "div", { class: "room" }, h("a", { class: "skip-link", href: "#stage", text: "Skip to the stage" }),
            this.header, this.trouble, this.consent.element, this.stage.element, this.panel, footer, soundsPlace,
        );
        container.replaceChildren(this.element);
        this.toolbar.attached();
        this.#clockTimer = window.setInterval(() => this.#tick(), 500);
        call.model.addEventListener("change", this.render);
        call.addEventListener("event", (event) => narrate(this, /** @type {CustomEvent} */ (event).detail));
        this.render();
    }

    /** How many wait in the lobby. */
    get waiting() {
        return Object.values(this.call.model.state.participants).filter((person) => person.status === "waiting").length;
    }

    render = () => {
        const { model } = this.call;
        const { state } = model;
        setText(this.title, state.title || state.room);
        setText(this.kind, kindName(state.kind));
        document.title = `${model.unreadChat > 0 ? `(${model.unreadChat}) ` : ""}${state.title || state.room} – Consilium`;
        this.recording.hidden = !state.recording;
        this.#connection();
        this.stage.render();
        this.sounds.render();
        this.toolbar.render();
        this.consent.render();
        this.popouts.render();
        this.viewReport.changed();
        this.#panel();
    };

    #tick() {
        const { connection, model } = this.call;
        setText(this.elapsed, clock(connection.sessionSeconds));
        const since = model.state.recording?.since;
        if (since !== undefined) setText(this.recordingTime, clock(connection.sessionSeconds - since / 1e9));
        // Speaking rings fade by themselves, and standing pictures are noticed.
        model.changed();
    }

    #connection() {
        const { model } = this.call;
        const { connection, mediaState } = model;
        let level = "good";
        let words = "Connected";
        let trouble = "";
        if (connection !== "open") {
            level = "bad";
            words = "Reconnecting";
            trouble = navigator.onLine
                ? "The connection to the server is interrupted. Reconnecting …"
                : "This computer is offline. The room comes back when the network does.";
        } else if (mediaState === "disconnected" || mediaState === "failed") {
            level = "bad";
            words = "No media";
            trouble = "Sound and pictures are interrupted. Finding another way …";
        } else if (mediaState !== "connected") {
            level = "fair";
            words = "Connecting";
        }
        setAttribute(this.connection, "data-level", level);
        setText(this.connectionWords, words);
        if (this.trouble.textContent !== trouble) this.trouble.replaceChildren(...(trouble ? [icon("network-off"), h("span", { text: trouble })] : []));
        this.trouble.hidden = trouble === "";
    }

    #panel() {
        const name = this.call.model.panel;
        const panel = name ? this.panels[name] : null;
        if (name !== this.#shownPanel) {
            const hadFocus = this.panel.contains(document.activeElement);
            const before = this.#shownPanel;
            this.#shownPanel = name;
            this.panel.hidden = !panel;
            this.element.classList.toggle("with-panel", Boolean(panel));
            if (panel) {
                setText(this.panelTitle, panel.title);
                this.panel.setAttribute("aria-label", panel.title);
                this.panelPlace.replaceChildren(panel.element);
                panel.render();
                if (panel === this.panels.chat) this.panels.chat.focus();
                else this.panel.focus({ preventScroll: true });
            } else if (hadFocus) {
                // The focus goes back to the button that opened the panel.
                const opener = this.toolbar.element.querySelector(`[data-action="${before}"]`);
                (opener instanceof HTMLElement && opener.offsetParent ? opener : this.toolbar.more).focus();
            }
            return;
        }
        panel?.render();
    }

    /** @param {Tile} tile */
    mediaOf(tile) {
        if (tile.kind !== "stream") return null;
        if (tile.self) return this.call.media.local.get(tile.stream)?.media ?? null;
        return this.call.media.find(tile.participant, tile.stream);
    }

    /**
     * @param {Tile} tile
     * @param {HTMLElement} element
     */
    tileMenu(tile, element) {
        return tileMenu(this, tile, element);
    }

    /** @param {string} participant */
    personMenu(participant) {
        return personMenu(this, participant);
    }

    /** @param {HTMLElement} button */
    openShareMenu(button) {
        void shareMenu(this).then((items) => openMenu(button, "Share", items));
    }

    /** @param {HTMLElement} button */
    openLayoutMenu(button) {
        openMenu(button, "Layout", layoutMenu(this));
    }

    nextLayout() {
        const { model } = this.call;
        const next = layouts[(layouts.indexOf(model.layout) + 1) % layouts.length] ?? "stage";
        model.setLayout(next);
        announce({ stage: "Stage and strip", grid: "Grid", side: "Everything of one participant" }[next]);
    }

    toggleRecording() {
        const { call } = this;
        if (!call.model.state.recording) {
            void call.perform("recording.start");
            return;
        }
        openDialog("Stop recording?", [h("p", { class: "soft", text: "The recording is complete and can be replayed as soon as it stops." })], [
            { label: "Keep recording", className: "quiet" },
            { label: "Stop recording", className: "danger", focus: true, run: () => void call.perform("recording.stop") },
        ]);
    }

    openHelp() {
        openHelpDialog(this);
    }

    openDevices() {
        return openDevicesDialog(this);
    }

    askToLeave() {
        const { call } = this;
        if (!call.model.may("end")) {
            void call.leave(false);
            return;
        }
        openDialog("Leave the session?", [h("p", { class: "soft", text: "The others can go on without you, or you end the session for everybody." })], [
            { label: "Stay", className: "quiet" },
            { label: "End for all", className: "danger", run: () => void call.leave(true) },
            { label: "Leave", className: "primary", focus: true, run: () => void call.leave(false) },
        ]);
    }

    /** @param {string} text */
    say(text) {
        toast(text);
    }

    destroy() {
        window.clearInterval(this.#clockTimer);
        this.call.model.removeEventListener("change", this.render);
        this.keys.destroy();
        this.popouts.closeAll();
        this.viewReport.destroy();
        this.stage.destroy();
        this.toolbar.destroy();
    }
}
