// The page's end of consilium.v1: one WebSocket that joins, resumes after a break, pairs replies with requests and hands out events in order.

/** @typedef {import("./consilium").JoinReply} JoinReply */
/** @typedef {import("./consilium").RoomEvent} RoomEvent */
/** @typedef {"idle" | "connecting" | "open" | "waiting" | "reconnecting" | "closed"} ConnectionStatus */

const subprotocol = "consilium.v1";
const replyTimeout = 10_000;
const pingInterval = 8_000;
const pingTimeout = 6_000;
const firstDelay = 250;
const longestDelay = 8_000;

/** Join errors that pass by themselves. */
const passing = new Set(["not_open", "unavailable", "busy", "timeout", "internal", "rate_limited", "connection_lost"]);
/** The session to resume is gone: join anew. */
const sessionGone = new Set(["foreign_session", "unknown_session", "session_unknown", "session_expired", "resume_failed", "not_resumable"]);

/** A refusal by the server, or the loss of the connection while a reply was awaited. */
export class RequestError extends Error {
    /**
     * @param {string} code
     * @param {string} message
     */
    constructor(code, message) {
        super(message);
        this.name = "RequestError";
        this.code = code;
    }
}

/**
 * Events dispatched (all CustomEvent):
 * - `status`: detail is the new status;
 * - `joined`: detail {reply, resumed}; the snapshot, if any, is in the reply, a tail follows as `event`s;
 * - `waiting`: in the lobby; `rejected`: not admitted, detail {reason};
 * - `postponed`: not now, detail {code, message}; it is tried again by itself;
 * - `refused`: the server will not have us, detail {code, message};
 * - `event`, `presence`, `notice`: one message each.
 */
export class Connection extends EventTarget {
    /** @type {ConnectionStatus} */
    status = "idle";
    /** Sequence number of the last event handed out. */
    seq = 0;
    /** @type {string | null} this client's participant id */
    participant = null;
    /** Round trip of the last ping in milliseconds. */
    roundTrip = NaN;
    /** Milliseconds of `performance.now()` at session time 0. */
    epoch = NaN;
    /** @type {string | null} why the server closes, when it said goodbye */
    goodbye = null;

    /** @type {WebSocket | null} */
    #socket = null;
    /** @type {string | null} */
    #session = null;
    #nextID = 1;
    /** @type {Map<number, { resolve: (ok: any) => void, reject: (error: RequestError) => void, timer: number }>} */
    #pending = new Map();
    #attempts = 0;
    #retryTimer = 0;
    #pingTimer = 0;
    #everOpened = false;

    /** @param {{ room: string, token: string }} invitation */
    constructor({ room, token }) {
        super();
        this.room = room;
        this.token = token;
        window.addEventListener("online", this.#wake);
        document.addEventListener("visibilitychange", this.#wake);
    }

    /** Starts; what comes of it is told by events. */
    open() {
        if (this.status !== "idle" && this.status !== "closed") return;
        this.#setStatus("connecting");
        this.#connect();
    }

    /**
     * Sends a command and waits for its reply.
     * @param {string} command
     * @param {Record<string, unknown>} [fields]
     * @returns {Promise<any>}
     */
    request(command, fields = {}) {
        const socket = this.#socket;
        if (!socket || socket.readyState !== WebSocket.OPEN) {
            return Promise.reject(new RequestError("connection_lost", "There is no connection to the server right now."));
        }
        const id = this.#nextID++;
        return new Promise((resolve, reject) => {
            const timer = window.setTimeout(() => {
                this.#pending.delete(id);
                reject(new RequestError("timeout", "The server did not answer in time."));
            }, replyTimeout);
            this.#pending.set(id, { resolve, reject, timer });
            socket.send(JSON.stringify({ id, do: command, ...fields }));
        });
    }

    /**
     * Sends a message that gets no reply (presence). It is dropped when the socket is behind: the latest wins anyway.
     * @param {string} command
     * @param {Record<string, unknown>} fields
     */
    send(command, fields) {
        const socket = this.#socket;
        if (!socket || socket.readyState !== WebSocket.OPEN || socket.bufferedAmount > 65_536) return;
        socket.send(JSON.stringify({ do: command, ...fields }));
    }

    /** Leaves for good. */
    async close() {
        if (this.status === "closed") return;
        try {
            if (this.status === "open" || this.status === "waiting") await this.request("leave");
        } catch {
            // The server notices the closed socket by itself.
        }
        this.#finish();
    }

    /** Session time now, in seconds since the room opened. */
    get sessionSeconds() {
        return Number.isNaN(this.epoch) ? 0 : (performance.now() - this.epoch) / 1000;
    }

    #wake = () => {
        if (document.visibilityState === "hidden" || this.#retryTimer === 0) return;
        window.clearTimeout(this.#retryTimer);
        this.#retryTimer = 0;
        this.#connect();
    };

    #connect() {
        const address = new URL(`/v1/rooms/${encodeURIComponent(this.room)}/socket`, location.href);
        address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
        const socket = new WebSocket(address, subprotocol);
        this.#socket = socket;
        const giveUp = window.setTimeout(() => socket.close(), replyTimeout);
        socket.addEventListener("open", () => {
            window.clearTimeout(giveUp);
            this.#everOpened = true;
            void this.#join(socket);
        });
        socket.addEventListener("message", (message) => {
            if (socket === this.#socket) this.#receive(message.data);
        });
        socket.addEventListener("close", (event) => {
            window.clearTimeout(giveUp);
            if (socket === this.#socket) this.#lost(event);
        });
    }

    /** @param {WebSocket} socket */
    async #join(socket) {
        const resume = this.#session ? { resume: { session: this.#session, seq: this.seq } } : {};
        try {
            const reply = await this.request("join", { token: this.token, ...resume });
            if (socket !== this.#socket) return;
            this.#startPinging();
            this.#accept(reply);
        } catch (error) {
            if (socket !== this.#socket || !(error instanceof RequestError)) return;
            if (sessionGone.has(error.code) && this.#session) {
                this.#session = null;
                this.seq = 0;
                socket.close();
            } else if (passing.has(error.code)) {
                this.#dispatch("postponed", { code: error.code, message: error.message });
                socket.close();
            } else {
                this.#refuse(error.code, error.message);
            }
        }
    }

    /** @param {JoinReply} reply */
    #accept(reply) {
        this.#session = reply.session;
        this.#attempts = 0;
        this.goodbye = null;
        if (reply.waiting) {
            this.participant = reply.participant;
            this.#setStatus("waiting");
            this.#dispatch("waiting", reply);
            return;
        }
        this.participant = reply.participant;
        if (typeof reply.now === "number") this.epoch = performance.now() - reply.now / 1e6;
        if (reply.snapshot) this.seq = reply.snapshot.seq;
        this.#setStatus("open");
        this.#dispatch("joined", { reply, resumed: reply.resumed === true });
        for (const event of reply.tail ?? []) this.#receiveEvent(event);
    }

    /** @param {unknown} data */
    #receive(data) {
        if (typeof data !== "string") return;
        let message;
        try {
            message = JSON.parse(data);
        } catch {
            return;
        }
        if (message.re !== undefined) this.#receiveReply(message);
        else if (message.event !== undefined) this.#receiveEvent(message);
        else if (message.presence !== undefined) this.#dispatch("presence", message);
        else if (message.notice !== undefined) this.#receiveNotice(message);
    }

    /** @param {{ re: number, ok?: any, error?: { code: string, message: string } }} message */
    #receiveReply(message) {
        const waiting = this.#pending.get(message.re);
        if (!waiting) return;
        this.#pending.delete(message.re);
        window.clearTimeout(waiting.timer);
        if (message.error) waiting.reject(new RequestError(message.error.code, message.error.message));
        else waiting.resolve(message.ok ?? {});
    }

    /** @param {RoomEvent} event */
    #receiveEvent(event) {
        if (this.status !== "open" || event.seq <= this.seq) return;
        if (event.seq !== this.seq + 1) {
            // An event is missing: what we show would be wrong from here on, so take up the tail.
            this.#resumeNow();
            return;
        }
        this.seq = event.seq;
        this.#dispatch("event", event);
        if (event.event === "room.ended") this.#finish();
        if (event.event === "participant.left" && event.participant === this.participant) this.#finish();
    }

    /** @param {{ notice: string, [field: string]: any }} message */
    #receiveNotice(message) {
        switch (message.notice) {
            case "admitted":
                this.#accept(/** @type {any} */ (message));
                break;
            case "rejected":
                this.#dispatch("rejected", { reason: message.reason ?? null });
                this.#finish();
                break;
            case "slow":
                this.#resumeNow();
                break;
            case "goodbye":
                this.goodbye = message.reason ?? "";
                this.#dispatch("notice", message);
                break;
            default:
                this.#dispatch("notice", message);
        }
    }

    #resumeNow() {
        const socket = this.#socket;
        this.#drop("connection_lost");
        socket?.close();
        this.#setStatus("reconnecting");
        this.#connect();
    }

    /** @param {CloseEvent} event */
    #lost(event) {
        this.#drop("connection_lost");
        if (this.status === "closed") return;
        if (event.code === 1008 && event.reason) {
            this.#refuse("policy", event.reason);
            return;
        }
        this.#setStatus(this.#everOpened ? "reconnecting" : "connecting");
        const delay = Math.min(longestDelay, firstDelay * 2 ** this.#attempts) * (0.75 + Math.random() / 2);
        this.#attempts += 1;
        this.#dispatch("retry", { attempt: this.#attempts, everOpened: this.#everOpened });
        this.#retryTimer = window.setTimeout(() => {
            this.#retryTimer = 0;
            this.#connect();
        }, delay);
    }

    #startPinging() {
        window.clearInterval(this.#pingTimer);
        const socket = this.#socket;
        const ping = async () => {
            const started = performance.now();
            const slow = window.setTimeout(() => socket?.close(), pingTimeout);
            try {
                await this.request("ping");
                this.roundTrip = performance.now() - started;
            } catch {
                // Closing is the timer's business.
            } finally {
                window.clearTimeout(slow);
            }
        };
        this.#pingTimer = window.setInterval(ping, pingInterval);
        void ping();
    }

    /** @param {string} code */
    #drop(code) {
        window.clearInterval(this.#pingTimer);
        this.#socket = null;
        for (const waiting of this.#pending.values()) {
            window.clearTimeout(waiting.timer);
            waiting.reject(new RequestError(code, "The connection was lost before the server answered."));
        }
        this.#pending.clear();
    }

    /**
     * @param {string} code
     * @param {string} message
     */
    #refuse(code, message) {
        this.#dispatch("refused", { code, message });
        this.#finish();
    }

    #finish() {
        const socket = this.#socket;
        window.clearTimeout(this.#retryTimer);
        this.#retryTimer = 0;
        this.#setStatus("closed");
        this.#drop("connection_lost");
        socket?.close(1000);
        window.removeEventListener("online", this.#wake);
        document.removeEventListener("visibilitychange", this.#wake);
    }

    /** @param {ConnectionStatus} status */
    #setStatus(status) {
        if (this.status === status) return;
        this.status = status;
        this.#dispatch("status", status);
    }

    /**
     * @param {string} type
     * @param {unknown} detail
     */
    #dispatch(type, detail) {
        this.dispatchEvent(new CustomEvent(type, { detail }));
    }
}
