// One recording: its pictures, sound, images and words at one moment, and the controls that choose the moment.

import { h, icon, iconButton, setAttribute, setText } from "../shared/dom.js";
import { clock as clockWords } from "../shared/format.js";
import { arrange } from "../room/layout.js";
import { address } from "./address.js";
import { Bar } from "./bar.js";
import { Keys } from "./keys.js";
import { MediaClock } from "./media-clock.js";
import { MediaTrack } from "./media-track.js";
import { Panel } from "./panel.js";
import { arrangeScene, tiles } from "./scene.js";
import { ReplayTile } from "./tile.js";
import { Timeline } from "./timeline.js";

/** @typedef {import("./api.js").Manifest} Manifest */
/** @typedef {import("./scene.js").Layout} Layout */
/** @typedef {import("../room/scene.js").Tile} Tile */

export const rates = [0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3];
const followInterval = 100;
/** The clock waits so long for what must load, then goes on without it. */
const longestHold = 8_000;
const patience = 250;

/** @type {{ layout: Layout, icon: string, words: string }[]} */
const layouts = [
    { layout: "stage", icon: "layout-stage", words: "One large, others in a strip" },
    { layout: "side", icon: "layout-side", words: "Two side by side" },
    { layout: "grid", icon: "layout-grid", words: "All the same size" },
];

export class Player {
    /** @type {string | null} */
    pinned = null;
    /** @type {Layout} */
    layout = "stage";
    /**
     * Which sound leads the clock.
     * @type {MediaTrack | null}
     */
    #master = null;
    #muted = false;
    #volume = 1;
    #frame = 0;
    #timer = 0;
    #jumped = true;
    #starvedSince = 0;
    #heldSince = 0;
    #layoutKey = "";
    #addressTimer = 0;

    /**
     * @param {HTMLElement} app
     * @param {import("./api.js").Server} server
     * @param {Manifest} manifest
     * @param {string} timeline
     * @param {number} t seconds
     */
    constructor(app, server, manifest, timeline, t) {
        this.server = server;
        this.manifest = manifest;
        document.title = `${manifest.title || manifest.room} – Consilium`;
        this.timeline = new Timeline(timeline, manifest.start);
        this.tracks = manifest.tracks
            .filter((track) => track.end > track.start)
            .map((track) => new MediaTrack(track, server.path(manifest.recording, track.file), manifest.start));
        this.duration = Math.max(manifest.duration / 1e9, this.timeline.end, ...this.tracks.map((track) => track.end), 0.1);
        this.clock = new MediaClock(this.duration);
        this.state = this.timeline.moveTo(0).state;
        this.#build(app);
        this.keys = new Keys(this);
        this.clock.addEventListener("state", () => this.#stateChanged());
        this.clock.addEventListener("seek", () => {
            this.#jumped = true;
            this.#follow();
            this.#draw();
        });
        this.clock.addEventListener("rate", () => this.#follow());
        this.clock.seek(t);
        this.#timer = window.setInterval(() => this.#follow(), followInterval);
        const loop = () => {
            this.#draw();
            this.#frame = requestAnimationFrame(loop);
        };
        this.#frame = requestAnimationFrame(loop);
        void this.#loadWaveform();
    }

    // MARK: - The page

    /** @param {HTMLElement} app */
    #build(app) {
        const { manifest } = this;
        this.stage = h("div", { class: "replay-stage", "aria-label": "Pictures", role: "group" });
        this.more = h("button", { type: "button", class: "tile more-people", hidden: true, onclick: () => this.setLayout("grid") });
        this.stage.append(this.more);
        /** @type {Map<string, ReplayTile>} */
        this.tiles = new Map();
        this.panel = new Panel({ start: manifest.start, seek: (t) => this.seek(t) });
        this.bar = new Bar({
            duration: this.duration, marks: this.timeline.marks, peaks: [], interval: 0.1,
            thumbnail: (t) => this.#thumbnail(t), seek: (t) => this.seek(t, false),
        });
        this.playButton = h("button", { type: "button", class: "icon-button play", onclick: () => this.toggle() }, icon("play"));
        this.muteButton = iconButton("speaker", "Sound off", () => this.toggleMute());
        this.volumeField = h("input", {
            type: "range", class: "volume", min: "0", max: "1", step: "0.05", value: "1", "aria-label": "Volume",
            oninput: () => this.setVolume(Number(this.volumeField?.value)),
        });
        this.time = h("span", { class: "time numeric" });
        this.speed = h(
            "select", { class: "select speed", "aria-label": "Speed", title: "Speed", onchange: () => this.setRate(Number(this.speed?.value)) },
            ...rates.map((rate) => h("option", { value: String(rate), text: `${rate}×`, selected: rate === 1 })),
        );
        this.layoutButtons = layouts.map(({ layout, icon: name, words }) => {
            const button = iconButton(name, words, () => this.setLayout(layout));
            button.dataset.layout = layout;
            return button;
        });
        this.panelButton = iconButton("chat", "People and chat", () => this.togglePanel());
        this.busy = h("p", { class: "replay-busy", role: "status", hidden: true, text: "Loading …" });
        this.root = h(
            "div", { class: "replay" },
            h("a", { class: "skip-link", href: "#controls", text: "Skip to the controls", onclick: (/** @type {Event} */ event) => this.#skip(event) }),
            h(
                "header", { class: "replay-header" },
                h("a", { class: "icon-button", href: "#", "aria-label": "All recordings", title: "All recordings" }, icon("return")),
                h(
                    "div", { class: "replay-title" },
                    h("h1", { text: manifest.title || manifest.room }),
                    h("p", { class: "small soft", text: this.#when() }),
                ),
                iconButton("link", "Copy a link to this moment", () => void this.copyLink()),
                iconButton("keyboard", "Keys", () => this.keys.help()),
                iconButton("sun", "Switch between dark and light", () => void window.consiliumTheme?.toggle()),
            ),
            h("main", { class: "replay-main" }, this.stage, this.busy, this.panel.element),
            h(
                "footer", { class: "replay-controls", id: "controls", role: "group", "aria-label": "Playback" },
                this.bar.element,
                h(
                    "div", { class: "replay-buttons" },
                    this.playButton, this.time, this.muteButton, this.volumeField, h("span", { class: "grow" }),
                    this.speed, h("div", { class: "layouts", role: "group", "aria-label": "Layout" }, ...this.layoutButtons),
                    this.panelButton, iconButton("fullscreen", "Full screen", () => this.fullscreen()),
                ),
            ),
        );
        app.replaceChildren(this.root);
        this.togglePanel(innerWidth > 900);
        this.resizing = new ResizeObserver(() => (this.#layoutKey = ""));
        this.resizing.observe(this.stage);
        this.#stateChanged();
        this.setLayout("stage");
    }

    #when() {
        const started = new Date(this.manifest.started);
        const words = Number.isNaN(started.getTime()) ? "" : started.toLocaleString(undefined, { dateStyle: "long", timeStyle: "short" });
        return [words, this.manifest.room, this.manifest.state === "recovered" ? "recovered after a failure" : ""].filter(Boolean).join(" · ");
    }

    /** @param {Event} event */
    #skip(event) {
        event.preventDefault();
        this.playButton?.focus();
    }

    async #loadWaveform() {
        const waveform = await this.server.waveform(this.manifest.recording).catch(() => null);
        if (!waveform) return;
        /** @type {number[]} */
        const loudest = [];
        for (const { peaks } of waveform.tracks) {
            peaks.forEach((peak, index) => (loudest[index] = Math.max(loudest[index] ?? 0, peak)));
        }
        this.bar?.setPeaks(loudest, waveform.interval / 1000);
    }

    /**
     * The picture before a moment, of the most clinical stream that has one.
     * @param {number} t
     */
    #thumbnail(t) {
        const order = ["surgicalField", "imaging", "document", "panorama", "vitals", "camera"];
        const wanted = this.manifest.start + t * 1e9;
        let best = /** @type {{ rank: number, file: string } | null} */ (null);
        for (const track of this.manifest.tracks) {
            if (track.start > wanted + 1e9 || track.end < wanted) continue;
            const found = track.thumbnails.filter((one) => one.t <= wanted + 5e9).at(-1);
            const rank = order.indexOf(track.role);
            if (found && (!best || rank < best.rank)) best = { rank, file: found.file };
        }
        return best ? this.server.path(this.manifest.recording, best.file) : null;
    }

    // MARK: - What one can do

    toggle() {
        if (this.clock.playing) this.clock.pause();
        else this.clock.play();
        this.announce(this.clock.playing ? "Playing" : `Paused at ${clockWords(this.clock.now)}`);
    }

    /** @param {number} t seconds @param {boolean} [aloud] whether to say so */
    seek(t, aloud = true) {
        this.clock.seek(t);
        if (aloud) this.announce(clockWords(this.clock.now));
        this.#rememberAddress();
    }

    /** @param {number} rate */
    setRate(rate) {
        this.clock.rate = rate;
        if (this.speed) this.speed.value = String(rate);
        this.announce(`Speed ${rate}`);
    }

    /** @param {1 | -1} direction */
    changeRate(direction) {
        const index = rates.indexOf(this.clock.rate) + direction;
        const rate = rates[Math.min(rates.length - 1, Math.max(0, index))];
        if (rate !== undefined) this.setRate(rate);
    }

    toggleMute() {
        this.#muted = !this.#muted;
        if (this.muteButton) {
            setAttribute(this.muteButton, "aria-pressed", String(this.#muted));
            setAttribute(this.muteButton, "aria-label", this.#muted ? "Sound on" : "Sound off");
            this.muteButton.title = this.#muted ? "Sound on" : "Sound off";
        }
        this.announce(this.#muted ? "Sound off" : "Sound on");
        this.#follow();
    }

    /** @param {number} volume 0 to 1 */
    setVolume(volume) {
        this.#volume = Math.min(1, Math.max(0, volume));
        if (this.#muted && volume > 0) this.toggleMute();
        if (this.volumeField) this.volumeField.value = String(this.#volume);
        this.#follow();
    }

    get volume() {
        return this.#volume;
    }

    /** @param {Layout} layout */
    setLayout(layout) {
        this.layout = layout;
        for (const button of this.layoutButtons ?? []) setAttribute(button, "aria-pressed", String(button.dataset.layout === layout));
        this.#layoutKey = "";
    }

    /** @param {string} key */
    togglePin(key) {
        this.pinned = this.pinned === key ? null : key;
        if (this.pinned && this.layout === "grid") this.setLayout("stage");
        this.#layoutKey = "";
    }

    /** @param {boolean} [open] */
    togglePanel(open) {
        if (!this.panel || !this.root) return;
        const shown = open ?? this.panel.element.hidden;
        this.panel.element.hidden = !shown;
        this.root.classList.toggle("with-panel", shown);
        if (this.panelButton) setAttribute(this.panelButton, "aria-pressed", String(shown));
        this.#layoutKey = "";
    }

    /**
     * To the next or previous mark.
     * @param {1 | -1} direction
     */
    toMark(direction) {
        const now = this.clock.now;
        const marks = this.timeline.marks.filter((mark) => (direction > 0 ? mark.t > now + 0.5 : mark.t < now - 1.5));
        const mark = direction > 0 ? marks[0] : marks.at(-1);
        if (!mark) return;
        this.seek(mark.t, false);
        this.announce(`${clockWords(mark.t)}: ${mark.words}`);
    }

    /** The viewer returns to what was shown. */
    followImages() {
        for (const tile of this.tiles?.values() ?? []) tile.viewport?.follow();
    }

    fullscreen() {
        if (document.fullscreenElement) void document.exitFullscreen();
        else void this.root?.requestFullscreen().catch(() => undefined);
    }

    async copyLink() {
        const link = new URL(address(this.manifest.recording, this.clock.now), location.href).href;
        try {
            await navigator.clipboard.writeText(link);
            this.announce(`Link to ${clockWords(this.clock.now)} copied`, true);
        } catch {
            history.replaceState(null, "", address(this.manifest.recording, this.clock.now));
            this.announce("The address bar now names this moment", true);
        }
    }

    /** @param {string} words @param {boolean} [visible] */
    announce(words, visible = false) {
        const place = document.getElementById("announce");
        if (place) place.textContent = words;
        if (!visible) return;
        const toast = h("div", { class: "toast" }, icon("check"), h("span", { text: words }));
        document.getElementById("toasts")?.append(toast);
        setTimeout(() => toast.remove(), 4000);
    }

    #rememberAddress() {
        clearTimeout(this.#addressTimer);
        this.#addressTimer = window.setTimeout(() => {
            history.replaceState(null, "", address(this.manifest.recording, this.clock.now));
        }, 400);
    }

    // MARK: - Following the clock

    /** @param {string} participant @param {string} stream @param {number} t */
    videoAt(participant, stream, t) {
        const files = this.tracks.filter(({ track }) => track.kind === "video" && track.participant === participant && track.stream === stream);
        return files.find((file) => file.covers(t)) ?? files.filter((file) => file.start <= t).at(-1) ?? files[0] ?? null;
    }

    /**
     * A name even for somebody the room's state has forgotten.
     * @param {string} participant
     */
    nameOf(participant) {
        return this.state.participants[participant]?.name ?? participant;
    }

    #follow() {
        const { clock } = this;
        const t = clock.now;
        if (clock.playing && t >= this.duration - 0.02) clock.pause();
        const jumped = this.#jumped;
        this.#jumped = false;
        const isHeard = (/** @type {MediaTrack} */ track) =>
            track.track.kind === "audio" && track.covers(t) && track.element !== null && !track.failed && track.element.readyState >= 2;
        if (!this.#master || !isHeard(this.#master)) this.#master = this.tracks.find(isHeard) ?? null;
        for (const track of this.tracks) {
            track.follow(clock, { isMaster: track === this.#master, jumped, muted: this.#muted, volume: this.#volume });
        }
        // The sound is never bent; the clock gives way to it.
        const skew = clock.playing && !clock.held && !jumped ? this.#master?.skew(clock.now) : null;
        if (skew !== null && skew !== undefined && Math.abs(skew) > 0.005 && Math.abs(skew) < 0.3) clock.nudge(skew * 0.3);
        this.#holdIfStarved(t);
    }

    /** @param {number} t */
    #holdIfStarved(t) {
        const now = performance.now();
        const starved = this.clock.playing && this.tracks.some((track) => track.isStarved(t));
        if (!starved) {
            this.#starvedSince = 0;
            this.#heldSince = 0;
            this.clock.hold(false);
            return;
        }
        if (this.#starvedSince === 0) this.#starvedSince = now;
        if (now - this.#starvedSince < patience) return;
        if (this.#heldSince === 0) this.#heldSince = now;
        this.clock.hold(now - this.#heldSince < longestHold);
    }

    #stateChanged() {
        const { playing, held } = this.clock;
        if (this.playButton) {
            this.playButton.classList.toggle("playing", playing);
            setAttribute(this.playButton, "aria-label", playing ? "Pause" : "Play");
            this.playButton.title = playing ? "Pause" : "Play";
        }
        if (this.busy) this.busy.hidden = !held;
        if (!playing) this.#rememberAddress();
        this.#follow();
    }

    #draw() {
        const t = this.clock.now;
        const { state, events, jumped } = this.timeline.moveTo(t);
        this.state = state;
        const all = tiles(state, this.tracks, t);
        this.#place(state, all, t);
        for (const [viewport, shown] of Object.entries(state.viewports)) {
            const tile = this.tiles?.get(`viewport:${viewport}`);
            if (tile?.viewport && (jumped || tile.isNew || events.some((event) => event.viewport === viewport))) {
                tile.viewport.show(shown, jumped);
                tile.isNew = false;
            }
        }
        if (jumped || events.length > 0 || !this.#panelShown) {
            this.panel?.show(state);
            this.#panelShown = true;
        }
        this.bar?.show(t);
        if (this.time) setText(this.time, `${clockWords(t)} / ${clockWords(this.duration)}`);
    }

    #panelShown = false;

    /**
     * @param {import("../shared/room-state.js").RoomState} state
     * @param {Tile[]} all
     * @param {number} t
     */
    #place(state, all, t) {
        if (!this.stage || !this.tiles || !this.more) return;
        const wanted = new Set(all.map((tile) => tile.key));
        for (const [key, tile] of this.tiles) {
            if (wanted.has(key)) continue;
            this.tiles.delete(key);
            tile.destroy();
        }
        for (const tile of all) {
            let view = this.tiles.get(tile.key);
            if (!view) {
                view = new ReplayTile(this, tile);
                this.tiles.set(tile.key, view);
                this.stage.append(view.element);
                this.#layoutKey = "";
            }
            view.update(tile, t);
        }
        const scene = arrangeScene(state, all, { layout: this.layout, pinned: this.pinned });
        const key = `${this.layout} ${scene.stage.map((tile) => tile.key)} | ${scene.strip.map((tile) => tile.key)}`;
        if (key === this.#layoutKey) return;
        this.#layoutKey = key;
        const { places, more } = arrange(scene, this.stage.clientWidth, this.stage.clientHeight, 8);
        for (const [name, view] of this.tiles) {
            const place = places.get(name);
            view.element.hidden = !place;
            if (place) put(view.element, place);
        }
        this.more.hidden = !more;
        if (more) {
            put(this.more, more.place);
            setText(this.more, `+${more.count}`);
            setAttribute(this.more, "aria-label", `${more.count} more: show all`);
        }
    }

    destroy() {
        clearInterval(this.#timer);
        clearTimeout(this.#addressTimer);
        cancelAnimationFrame(this.#frame);
        for (const track of this.tracks) track.release();
        for (const tile of this.tiles?.values() ?? []) tile.destroy();
        this.resizing?.disconnect();
        this.bar?.destroy();
        this.keys.destroy();
    }
}

/** @param {HTMLElement} element @param {import("../room/layout.js").Place} place */
function put(element, place) {
    element.classList.toggle("small", place.small);
    element.style.setProperty("transform", `translate(${Math.round(place.left)}px, ${Math.round(place.top)}px)`);
    element.style.setProperty("width", `${Math.round(place.width)}px`);
    element.style.setProperty("height", `${Math.round(place.height)}px`);
}
