// The one clock of a replay: where in the recording we are. Media elements follow it; it waits for them when they must load.

export class MediaClock extends EventTarget {
    #position = 0;
    #since = 0;
    #rate = 1;
    #playing = false;
    #held = false;

    /** @param {number} duration seconds */
    constructor(duration) {
        super();
        this.duration = duration;
    }

    /** Seconds since the recording's start. */
    get now() {
        if (!this.#playing || this.#held) return this.#position;
        return Math.min(this.duration, this.#position + ((performance.now() - this.#since) / 1000) * this.#rate);
    }

    get playing() {
        return this.#playing;
    }

    get held() {
        return this.#held;
    }

    get rate() {
        return this.#rate;
    }

    set rate(rate) {
        this.#settle();
        this.#rate = rate;
        this.dispatchEvent(new Event("rate"));
    }

    play() {
        if (this.#playing) return;
        if (this.now >= this.duration - 0.05) this.seek(0);
        this.#settle();
        this.#playing = true;
        this.dispatchEvent(new Event("state"));
    }

    pause() {
        if (!this.#playing) return;
        this.#settle();
        this.#playing = false;
        this.dispatchEvent(new Event("state"));
    }

    /** @param {number} seconds */
    seek(seconds) {
        this.#settle();
        this.#position = Math.min(this.duration, Math.max(0, seconds));
        this.dispatchEvent(new Event("seek"));
    }

    /**
     * Stands still while something must load; playing goes on afterwards.
     * @param {boolean} held
     */
    hold(held) {
        if (held === this.#held) return;
        this.#settle();
        this.#held = held;
        this.dispatchEvent(new Event("state"));
    }

    /**
     * A small correction towards the sound that is heard; nobody is told.
     * @param {number} seconds
     */
    nudge(seconds) {
        this.#settle();
        this.#position = Math.min(this.duration, Math.max(0, this.#position + seconds));
    }

    #settle() {
        this.#position = this.now;
        this.#since = performance.now();
    }
}
