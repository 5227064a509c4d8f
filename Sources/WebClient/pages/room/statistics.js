// The panel of statistics: the path of the packets, a line per stream, and why each picture is as it is.

import { KeyedList, h, setText } from "../shared/dom.js";
import { rate } from "../shared/format.js";
import { StatisticsReader } from "../shared/media-statistics.js";
import { streamRoleName } from "../shared/words.js";
import { whyReceived, whySent } from "./why.js";

/** @typedef {import("./room-view.js").RoomView} RoomView */
/** @typedef {import("../shared/media-statistics.js").StreamStatistics} StreamStatistics */
/** @typedef {import("../shared/consilium").ExplainedStream} ExplainedStream */

const interval = 1_000;

export class StatisticsPanel {
    title = "Connection";
    #reader = new StatisticsReader();
    #timer = 0;
    /** @type {Map<string, ExplainedStream>} by mid */
    #explained = new Map();

    /** @param {RoomView} room */
    constructor(room) {
        this.room = room;
        this.facts = h("dl", { class: "facts" });
        this.streams = h("ul", { class: "stream-statistics" });
        this.element = h("div", { class: "panel-body scroll" }, this.facts, this.streams);
        this.list = new KeyedList(this.streams, {
            key: (/** @type {StreamStatistics} */ stream) => stream.key,
            create: () => h("li", {}, h("div", { class: "line" }, h("strong"), h("span", { class: "numeric" })), h("span", { class: "small faint numeric" }), h("span", { class: "small soft why" })),
            update: (row, stream) => this.#row(row, stream),
        });
    }

    render() {
        if (this.#timer) return;
        const look = async () => {
            if (!this.element.isConnected) {
                this.#timer = 0;
                return;
            }
            await this.#read();
            this.#timer = window.setTimeout(look, interval);
        };
        this.#timer = window.setTimeout(look, 0);
    }

    async #read() {
        const { connection, media } = this.room.call;
        const { path, streams } = await this.#reader.read(media);
        const milliseconds = (/** @type {number} */ value) => (Number.isFinite(value) ? `${Math.round(value)} ms` : "–");
        this.#facts([
            ["Media", `${media.state}, ${path.transport}`],
            ["Round trip", `${milliseconds(path.roundTrip)} media, ${milliseconds(connection.roundTrip)} signalling`],
            ["Receiving", rate(path.incoming)],
            ["Sending", `${rate(path.outgoing)} of ${rate(path.available)} available`],
            ["Here", path.local],
            ["Server", path.remote],
            ["Encryption", path.encryption || "–"],
        ]);
        await this.#ask();
        streams.sort((a, b) => order(a).localeCompare(order(b)));
        this.list.render(streams);
    }

    /** @param {[string, string][]} facts */
    #facts(facts) {
        for (const [index, [term, value]] of facts.entries()) {
            let row = this.facts.children[index];
            if (!row) {
                row = h("div", {}, h("dt"), h("dd", { class: "numeric" }));
                this.facts.append(row);
            }
            setText(/** @type {Element} */ (row.children[0]), term);
            setText(/** @type {Element} */ (row.children[1]), value);
        }
    }

    /**
     * @param {HTMLElement} row
     * @param {StreamStatistics} stream
     */
    #row(row, stream) {
        const { model } = this.room.call;
        const [strong, bits] = /** @type {HTMLElement} */ (row.firstElementChild).children;
        const shared = stream.participant === "";
        const who = shared ? "Whoever speaks" : stream.participant ? model.name(stream.participant) : "You";
        const role = model.state.participants[stream.participant ?? model.self]?.streams[stream.stream]?.role;
        const what = shared ? "sound" : role ? streamRoleName(role) : stream.stream;
        setText(/** @type {Element} */ (strong), `${who} · ${what}${stream.layer ? `, ${sizes.get(stream.layer) ?? stream.layer}` : ""}`);
        setText(/** @type {Element} */ (bits), stream.active ? `${stream.direction === "in" ? "↓" : "↑"} ${rate(stream.bitsPerSecond)}` : "paused");
        const picture = stream.kind === "video" && stream.width ? `${stream.width}×${stream.height}, ${Math.round(stream.framesPerSecond)}\u00a0fps` : "";
        const parts = [stream.codec, picture, `loss\u00a0${(stream.loss * 100).toFixed(1)}\u00a0%`, `jitter\u00a0${Math.round(stream.jitter)}\u00a0ms`];
        if (stream.freezes > 0) parts.push(`${stream.freezes}\u00a0${stream.freezes === 1 ? "freeze" : "freezes"}`);
        setText(/** @type {Element} */ (row.children[1]), stream.active ? parts.filter(Boolean).join(" · ") : "");
        setText(/** @type {Element} */ (row.children[2]), this.#why(stream));
    }

    /** @param {StreamStatistics} stream */
    #why(stream) {
        if (stream.kind !== "video") return "";
        if (stream.direction === "out") return whySent(stream);
        const explained = this.#explained.get(stream.mid);
        return explained ? whyReceived(explained) : "";
    }

    /** Asks the server why we get what we get. */
    async #ask() {
        const { call } = this.room;
        try {
            const answer = await call.fetch(`/v1/rooms/${encodeURIComponent(call.model.state.room)}/explain`);
            if (!answer.ok) return;
            /** @type {{ receivers: { peer: string, streams: ExplainedStream[] }[] }} */
            const { receivers } = await answer.json();
            const ours = receivers.find((receiver) => receiver.peer === call.model.self);
            this.#explained = new Map((ours?.streams ?? []).map((stream) => [stream.mid, stream]));
        } catch {
            // The connection is gone; the panel says so above.
        }
    }
}

/** As the page's publishing settings call them, and as people do. */
const sizes = new Map([["q", "small"], ["h", "medium"], ["f", "large"]]);

/**
 * What comes from others before our own, and each person's streams together.
 * @param {StreamStatistics} stream
 */
const order = (stream) => `${stream.direction === "in" ? "0" : "1"} ${stream.participant ?? ""} ${stream.stream} ${stream.layer}`;
