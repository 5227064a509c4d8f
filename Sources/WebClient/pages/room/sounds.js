// Plays everybody's sound through the chosen loudspeaker. Sound has no place on the screen, so it lives apart from the tiles.

import { h } from "../shared/dom.js";
import { toast } from "./announce.js";

/** @typedef {import("./call.js").Call} Call */

export class Sounds {
    /** @type {Map<string, HTMLAudioElement>} by mid */
    #elements = new Map();
    #speaker = "";
    #blocked = false;

    /**
     * @param {Call} call
     * @param {HTMLElement} container
     */
    constructor(call, container) {
        this.call = call;
        this.container = container;
    }

    render() {
        const sounds = this.call.media.sounds;
        const speaker = this.call.choice.speaker ?? "";
        const wanted = new Set(sounds.map((sound) => sound.mid));
        for (const [mid, element] of this.#elements) {
            if (wanted.has(mid)) continue;
            element.srcObject = null;
            element.remove();
            this.#elements.delete(mid);
        }
        for (const { mid, media } of sounds) {
            let element = this.#elements.get(mid);
            if (!element) {
                element = h("audio", { autoplay: true, data: { mid } });
                this.#elements.set(mid, element);
                this.container.append(element);
                if (speaker) void element.setSinkId?.(speaker).catch(() => undefined);
            }
            if (element.srcObject !== media) {
                element.srcObject = media;
                this.#play(element);
            }
        }
        if (speaker !== this.#speaker) {
            this.#speaker = speaker;
            for (const element of this.#elements.values()) void element.setSinkId?.(speaker).catch(() => undefined);
        }
    }

    /** @param {HTMLAudioElement} element */
    #play(element) {
        element.play().catch((error) => {
            if (error?.name !== "NotAllowedError" || this.#blocked) return;
            this.#blocked = true;
            toast("The browser holds the sound back until you say so.", {
                icon: "speaker", stay: true,
                action: {
                    label: "Play sound",
                    run: () => {
                        this.#blocked = false;
                        for (const each of this.#elements.values()) void each.play().catch(() => undefined);
                    },
                },
            });
        });
    }
}
