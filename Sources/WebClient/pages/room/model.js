// What the room page shows: the room's state from the event log, who we are in it, and how this screen looks at it.

import { apply, emptyState } from "../shared/room-state.js";

/** @typedef {import("../shared/consilium").RoomState} RoomState */
/** @typedef {import("../shared/consilium").RoomEvent} RoomEvent */
/** @typedef {import("../shared/consilium").ParticipantState} ParticipantState */
/** @typedef {"stage" | "grid" | "side"} Layout */
/** @typedef {"people" | "chat" | "imaging" | "statistics" | null} Panel */

/** What the holder of the floor may do, whatever the role. */
const floorPermissions = new Set(["steer", "point", "speak"]);
/** −52 dBov: louder than a room, softer than a voice. */
const quietest = 75;
const speakingFor = 900;
const layoutKey = "consilium.layout";

/** Dispatches `change` once per animation frame in which something changed. */
export class RoomModel extends EventTarget {
    /** @type {RoomState} */
    state = /** @type {RoomState} */ (emptyState());
    self = "";
    role = "";
    /** @type {Set<string>} */
    permissions = new Set();

    /** @type {import("../shared/connection.js").ConnectionStatus} */
    connection = "idle";
    mediaState = "new";

    /** @type {Layout} */
    layout = "stage";
    /** @type {Panel} */
    panel = null;
    /** @type {string[]} keys of tiles this user put on the stage */
    pinned = [];
    /** @type {string | null} whose streams the side-by-side layout shows */
    focused = null;
    /** @type {Set<string>} keys of tiles shown in windows of their own */
    poppedOut = new Set();
    unreadChat = 0;

    /** @type {string | null} who dominates the conversation, apart from ourselves, as the server hears it */
    activeSpeaker = null;
    /** @type {Map<string, number>} when somebody was last heard */
    #heard = new Map();
    #scheduled = false;

    constructor() {
        super();
        try {
            const kept = localStorage.getItem(layoutKey);
            if (kept === "stage" || kept === "grid" || kept === "side") this.layout = kept;
        } catch {
            // The default it is.
        }
    }

    /** @param {string} permission */
    may(permission) {
        return this.permissions.has(permission) || (this.hasFloor && floorPermissions.has(permission));
    }

    get hasFloor() {
        return this.self !== "" && this.state.floor.holder === this.self;
    }

    /** @returns {ParticipantState | undefined} */
    get me() {
        return this.state.participants[this.self];
    }

    /** @param {string | null | undefined} participant */
    name(participant) {
        if (!participant) return "Somebody";
        if (participant === this.self) return "You";
        return this.state.participants[participant]?.name ?? "Somebody";
    }

    /** @param {RoomState} state */
    reset(state) {
        this.state = state;
        this.changed();
    }

    /** @param {RoomEvent} event */
    apply(event) {
        apply(/** @type {any} */ (this.state), event);
        if (event.event === "participant.left" && this.focused === event.participant) this.focused = null;
        this.changed();
    }

    /**
     * Loudness as the server heard it (0 silence … 127 full).
     * @param {Record<string, number>} levels
     */
    hear(levels) {
        const now = performance.now();
        for (const [participant, level] of Object.entries(levels)) {
            if (level >= quietest) this.#heard.set(participant, now);
        }
        this.changed();
    }

    /** @param {string} participant */
    speaking(participant) {
        return performance.now() - (this.#heard.get(participant) ?? -Infinity) < speakingFor;
    }

    /**
     * The server decides who dominates: nobody takes the stage for a cough, and nobody loses it for a breath.
     * @param {string | null} participant
     */
    setSpeaker(participant) {
        // One's own voice does not move the others' pictures.
        if (participant !== this.self) this.activeSpeaker = participant;
        this.changed();
    }

    /** @param {Layout} layout */
    setLayout(layout) {
        this.layout = layout;
        try {
            localStorage.setItem(layoutKey, layout);
        } catch {
            // Lasts as long as the page.
        }
        this.changed();
    }

    /** @param {Panel} panel */
    togglePanel(panel) {
        this.panel = this.panel === panel ? null : panel;
        if (this.panel === "chat") this.unreadChat = 0;
        this.changed();
    }

    /** @param {string} key */
    togglePin(key) {
        this.pinned = this.pinned.includes(key) ? this.pinned.filter((pinned) => pinned !== key) : [...this.pinned.slice(-3), key];
        if (this.pinned.length > 0 && this.layout === "grid") this.layout = "stage";
        this.changed();
    }

    /** Tells the views, once for all changes until the next frame. */
    changed() {
        if (this.#scheduled) return;
        this.#scheduled = true;
        const run = () => {
            if (!this.#scheduled) return;
            this.#scheduled = false;
            this.dispatchEvent(new CustomEvent("change"));
        };
        // Frames stop in a hidden tab; what is heard and announced must not.
        if (document.visibilityState === "hidden") window.setTimeout(run, 100);
        else requestAnimationFrame(run);
        window.setTimeout(run, 250);
    }
}
