// The timeline of a recording as the room it was: its state at any moment, and the moments worth a mark.

import { apply, emptyState } from "../shared/room-state.js";

/** @typedef {import("../shared/room-state.js").RoomState} RoomState */

/**
 * @typedef {object} Mark
 * @property {number} t seconds since the recording's start
 * @property {"chat" | "floor" | "recording" | "viewport" | "people" | "spotlight"} kind
 * @property {string} words
 */

const snapshotSeconds = 20;
const snapshotEvents = 400;
/** A hand that turns pages makes many events; one mark is enough for so long. */
const viewportMarkSeconds = 4;

export class Timeline {
    /** @type {{ t: number, event: any }[]} */
    #events = [];
    /**
     * Whole states, each with the index of the first event that is not in it.
     * @type {{ t: number, next: number, state: RoomState }[]}
     */
    #snapshots = [];
    /** @type {Mark[]} */
    marks = [];
    /** Lines that were not understood. */
    skipped = 0;
    /** Seconds of the last line. */
    end = 0;

    /**
     * @param {string} text timeline.ndjson
     * @param {number} start session time of the recording's start, nanoseconds
     */
    constructor(text, start) {
        const lines = text.split("\n");
        const header = parse(lines[0] ?? "");
        const first = header?.snapshot?.state ?? header?.snapshot ?? {};
        const state = { ...emptyState(), ...first };
        this.#snapshots.push({ t: -Infinity, next: 0, state: structuredClone(state) });
        let sinceSnapshot = 0;
        let lastViewportMark = -Infinity;
        for (const line of lines.slice(1)) {
            if (!line) continue;
            const event = parse(line);
            if (typeof event?.t !== "number") {
                this.skipped += 1;
                continue;
            }
            const t = Math.max(0, (event.t - start) / 1e9);
            this.end = Math.max(this.end, t);
            if (typeof event.event !== "string") continue;
            try {
                apply(state, event);
            } catch {
                // An event of a later version: the rest of the room still makes sense without it.
                this.skipped += 1;
                continue;
            }
            this.#events.push({ t, event });
            const mark = describe(state, event);
            if (mark && (mark.kind !== "viewport" || t - lastViewportMark > viewportMarkSeconds)) {
                this.marks.push({ t, ...mark });
                if (mark.kind === "viewport") lastViewportMark = t;
            }
            sinceSnapshot += 1;
            const last = this.#snapshots[this.#snapshots.length - 1];
            if (sinceSnapshot >= snapshotEvents || t - (last?.t ?? 0) >= snapshotSeconds) {
                this.#snapshots.push({ t, next: this.#events.length, state: structuredClone(state) });
                sinceSnapshot = 0;
            }
        }
        this.#cursor = this.#at(0);
    }

    /**
     * The state last asked for, and the index of the event after it.
     * @type {{ t: number, next: number, state: RoomState }}
     */
    #cursor;

    /**
     * The room at a moment. Going forward applies what lies between; going back starts from a snapshot.
     * @param {number} t seconds
     * @returns {{ state: RoomState, events: any[], jumped: boolean }} the state is ours: look, do not keep
     */
    moveTo(t) {
        if (t < this.#cursor.t || t > this.#cursor.t + 2 * snapshotSeconds) {
            this.#cursor = this.#at(t);
            return { state: this.#cursor.state, events: [], jumped: true };
        }
        const events = this.#advance(this.#cursor, t);
        return { state: this.#cursor.state, events, jumped: false };
    }

    /** @param {number} t */
    #at(t) {
        let low = 0;
        let high = this.#snapshots.length - 1;
        while (low < high) {
            const middle = (low + high + 1) >> 1;
            if ((this.#snapshots[middle]?.t ?? Infinity) <= t) low = middle;
            else high = middle - 1;
        }
        const base = /** @type {{ t: number, next: number, state: RoomState }} */ (this.#snapshots[low]);
        const cursor = { t: base.t, next: base.next, state: structuredClone(base.state) };
        this.#advance(cursor, t);
        return cursor;
    }

    /** @param {{ t: number, next: number, state: RoomState }} cursor @param {number} t */
    #advance(cursor, t) {
        const events = [];
        for (;;) {
            const entry = this.#events[cursor.next];
            if (!entry || entry.t > t) break;
            apply(cursor.state, entry.event);
            events.push(entry.event);
            cursor.next += 1;
        }
        cursor.t = t;
        return events;
    }
}

/** @param {string} line */
function parse(line) {
    try {
        return JSON.parse(line);
    } catch {
        return null;
    }
}

/** @param {RoomState} state @param {any} event @returns {{ kind: Mark["kind"], words: string } | null} */
function describe(state, event) {
    const name = (/** @type {string} */ id) => state.participants[id]?.name ?? "Somebody";
    switch (event.event) {
        case "chat.message": return { kind: "chat", words: `${name(event.participant)}: ${event.text}` };
        case "floor.changed": return { kind: "floor", words: event.holder ? `${name(event.holder)} has the floor` : "Nobody has the floor" };
        case "recording.started": return { kind: "recording", words: "Recording started" };
        case "recording.stopped": return { kind: "recording", words: "Recording stopped" };
        case "viewport.opened": return { kind: "viewport", words: "Images opened" };
        case "viewport.changed": return { kind: "viewport", words: event.by ? `${name(event.by)} moves the image` : "The image moves" };
        case "participant.joined": return { kind: "people", words: `${name(event.participant)} joined` };
        case "participant.left": return { kind: "people", words: "Somebody left" };
        case "spotlight.changed": return event.participant ? { kind: "spotlight", words: `${name(event.participant)} in the spotlight` } : null;
        default: return null;
    }
}
