// One file of a recording in a media element that follows the clock: nudged while it is near, moved only when it is far.

/** @typedef {import("./api.js").Track} Track */
/** @typedef {import("./media-clock.js").MediaClock} MediaClock */

/** Below this two pictures cannot be told apart. */
const unnoticeable = 0.02;
/** Beyond this a nudge would take too long. */
const far = 0.35;
const strongestNudge = 0.08;
/** Loading begins so long before the file's time comes. */
const ahead = 6;
export const early = 0.3;

export class MediaTrack {
    /** @type {HTMLVideoElement | HTMLAudioElement | null} */
    element = null;
    /** Where the browser puts the file's own zero on its timeline. */
    #offset = 0;
    #known = false;
    #failed = false;
    #seekAt = 0;

    /**
     * @param {Track} track
     * @param {string} url
     * @param {number} recordingStart session nanoseconds
     */
    constructor(track, url, recordingStart) {
        this.track = track;
        this.url = url;
        this.start = (track.start - recordingStart) / 1e9;
        this.end = (track.end - recordingStart) / 1e9;
        this.gaps = track.gaps
            .map((gap) => ({ start: (gap.start - recordingStart) / 1e9, end: (gap.end - recordingStart) / 1e9, cause: gap.cause }))
            .filter((gap) => gap.end - gap.start > 1);
    }

    get failed() {
        return this.#failed;
    }

    /**
     * Whether its picture may be seen: a moment early is early enough to see the first one while the clock stands.
     * @param {number} t
     */
    shows(t) {
        return t >= this.start - early && t < this.end;
    }

    /** @param {number} t */
    covers(t) {
        return t >= this.start - 0.01 && t < this.end;
    }

    /** @param {number} t */
    gapAt(t) {
        return this.gaps.find((gap) => t >= gap.start + 0.3 && t < gap.end - 0.05) ?? null;
    }

    /**
     * How far the element is from the clock, in seconds; null when it does not play.
     * @param {number} t
     */
    skew(t) {
        if (!this.element || !this.#known || !this.covers(t)) return null;
        return this.element.currentTime + this.#offset - t;
    }

    /**
     * True when it should be heard or seen now and is not loaded.
     * @param {number} t
     */
    isStarved(t) {
        if (!this.element || this.#failed || !this.covers(t) || t > this.end - 0.3) return false;
        return this.element.readyState < HTMLMediaElement.HAVE_FUTURE_DATA;
    }

    /**
     * Brings the element to where the clock is. Call it a few times a second and after every seek.
     * @param {MediaClock} clock
     * @param {{ isMaster: boolean, jumped: boolean, muted: boolean, volume: number }} how
     */
    follow(clock, how) {
        const t = clock.now;
        if (t < this.start - ahead || t > this.end + ahead) {
            this.release();
            return;
        }
        const element = this.element ?? this.#load();
        element.muted = how.muted || this.track.kind === "video";
        if (element.volume !== how.volume) element.volume = how.volume;
        if (!this.#known || this.#failed) return;
        if (!this.covers(t)) {
            if (!element.paused) element.pause();
            // Wait at the beginning, so that it starts without a search.
            if (t < this.start) this.#seek(this.start, true);
            return;
        }
        const running = clock.playing && !clock.held;
        const difference = element.currentTime + this.#offset - t;
        if (how.jumped || Math.abs(difference) > (running ? far : 0.04)) this.#seek(t, how.jumped);
        const steer = running && !how.isMaster && Math.abs(difference) > unnoticeable
            ? 1 - Math.min(strongestNudge, Math.max(-strongestNudge, difference / 1.5))
            : 1;
        const wanted = clock.rate * steer;
        if (Math.abs(element.playbackRate - wanted) > 0.001) element.playbackRate = wanted;
        if (running && element.paused) {
            element.play().catch(() => {
                // Refused without a gesture: the player stays paused and says so.
                if (element.paused) clock.pause();
            });
        } else if (!running && !element.paused) {
            element.pause();
        }
    }

    /** @param {number} t @param {boolean} urgent */
    #seek(t, urgent) {
        const element = this.element;
        if (!element) return;
        const target = Math.max(0, t - this.#offset);
        if (Math.abs(element.currentTime - target) < 0.015) return;
        // One search at a time; a new one only when the reader moved, or the last has had its chance.
        if (!urgent && (element.seeking || performance.now() - this.#seekAt < 1500)) return;
        this.#seekAt = performance.now();
        element.currentTime = target;
    }

    #load() {
        const element = document.createElement(this.track.kind === "video" ? "video" : "audio");
        this.element = element;
        this.#known = false;
        this.#failed = false;
        element.preload = "auto";
        if (element instanceof HTMLVideoElement) {
            element.playsInline = true;
            element.disablePictureInPicture = true;
        }
        element.addEventListener("loadedmetadata", () => {
            // Some browsers keep the file's times, others begin each file at zero; its length tells which.
            const own = this.end - this.start;
            const isShifted = this.start > 0.5 && Math.abs(element.duration - own) < Math.abs(element.duration - this.end);
            this.#offset = isShifted ? this.start : 0;
            this.#known = true;
        });
        element.addEventListener("error", () => {
            this.#failed = true;
        });
        element.src = this.url;
        return element;
    }

    release() {
        const element = this.element;
        if (!element) return;
        this.element = null;
        this.#known = false;
        element.pause();
        element.removeAttribute("src");
        element.load();
        element.remove();
    }
}
