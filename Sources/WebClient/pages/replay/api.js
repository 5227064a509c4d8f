// What the replay page asks of the server: a session for its media, the list of recordings, and the files of one.

/**
 * @typedef {object} Summary
 * @property {string} recording
 * @property {string} room
 * @property {string} title
 * @property {string} started ISO 8601
 * @property {number} duration nanoseconds
 * @property {number} tracks
 * @property {number} [participants]
 * @property {"recording" | "ready" | "recovered"} state
 * @property {number} bytes
 */

/**
 * @typedef {object} Track
 * @property {string} participant
 * @property {string} stream
 * @property {"audio" | "video"} kind
 * @property {string} role
 * @property {string} codec
 * @property {string} file
 * @property {string} mime
 * @property {number} start session time, nanoseconds
 * @property {number} end
 * @property {number} [width]
 * @property {number} [height]
 * @property {{ start: number, end: number, cause: string }[]} gaps
 * @property {{ t: number, file: string }[]} thumbnails
 */

/**
 * @typedef {object} Manifest
 * @property {string} recording
 * @property {string} room
 * @property {string} title
 * @property {string} state
 * @property {string} started
 * @property {number} start session time at which the recording began, nanoseconds
 * @property {number} duration
 * @property {Track[]} tracks
 */

/** The server's refusal, with words for people. */
export class Refusal extends Error {
    /** @param {number} status @param {string} message */
    constructor(status, message) {
        super(message);
        this.status = status;
    }
}

export class Server {
    #token;

    /** @param {string} token empty when only the cookie is left */
    constructor(token) {
        this.#token = token;
    }

    /** Media elements cannot send a header; a cookie of this site does it for them. */
    async openSession() {
        if (!this.#token) return;
        const response = await this.fetch("/v1/session", { method: "POST" });
        if (!response.ok) throw await refusal(response);
    }

    /**
     * @param {string} path
     * @param {RequestInit} [options]
     */
    fetch = (path, options = {}) => {
        const headers = new Headers(options.headers);
        if (this.#token) headers.set("Authorization", `Bearer ${this.#token}`);
        return fetch(path, { ...options, headers, credentials: "same-origin" });
    };

    /** @returns {Promise<Summary[]>} */
    async recordings() {
        const response = await this.fetch("/v1/recordings");
        if (!response.ok) throw await refusal(response);
        return (await response.json()).recordings;
    }

    /** @param {string} recording @returns {Promise<Manifest>} */
    async manifest(recording) {
        const response = await this.fetch(this.path(recording, "manifest.json"));
        if (!response.ok) throw await refusal(response);
        return response.json();
    }

    /** @param {string} recording @returns {Promise<string>} */
    async timeline(recording) {
        const response = await this.fetch(this.path(recording, "timeline.ndjson"));
        if (!response.ok) throw await refusal(response);
        return response.text();
    }

    /**
     * @param {string} recording
     * @returns {Promise<{ interval: number, tracks: { file: string, peaks: number[] }[] } | null>} null when there is none
     */
    async waveform(recording) {
        const response = await this.fetch(this.path(recording, "waveform.json"));
        return response.ok ? response.json() : null;
    }

    /** @param {string} recording @param {string} name */
    path(recording, name) {
        return `/v1/recordings/${encodeURIComponent(recording)}/${name}`;
    }
}

/** @param {Response} response */
async function refusal(response) {
    let message = "";
    try {
        message = (await response.json()).error?.message ?? "";
    } catch {
        // A proxy answered, perhaps; its page is not for our readers.
    }
    if (!message) {
        if (response.status === 401) message = "This page needs an invitation that opens recordings.";
        else if (response.status === 403) message = "Your invitation does not open this recording.";
        else if (response.status === 404) message = "There is no such recording.";
        else message = `The server answered ${response.status}.`;
    }
    return new Refusal(response.status, message);
}
