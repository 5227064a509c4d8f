// The screen before the room: who you are, which camera and microphone, how you look and how loud you are.

import {
    LevelMeter, devicesAllowedHere, explainDeviceError, listDevices, openCamera, openMicrophone, qualities, rememberChoice, rememberedChoice,
} from "../shared/devices.js";
import { h, icon, setAttribute, setIcon, setText } from "../shared/dom.js";
import { kindName, roleName } from "../shared/words.js";

/** @typedef {import("../shared/devices.js").DeviceChoice} DeviceChoice */
/** @typedef {{ camera: MediaStreamTrack | null, microphone: MediaStreamTrack | null, choice: DeviceChoice }} JoinChoice */

const meterSteps = 14;

export class JoinScreen {
    /** @type {MediaStreamTrack | null} */
    #camera = null;
    /** @type {MediaStreamTrack | null} */
    #microphone = null;
    /** @type {LevelMeter | null} */
    #meter = null;
    #choice = rememberedChoice();
    #frame = 0;
    #opening = { camera: 0, microphone: 0 };
    /** Devices that were asked for and have not answered yet. */
    #starting = new Set();
    #joinWhenStarted = false;
    #isClosed = false;

    /**
     * @param {HTMLElement} container
     * @param {{ claims: import("../shared/token.js").Claims, room: string, onjoin: (choice: JoinChoice) => void }} options
     */
    constructor(container, { claims, room, onjoin }) {
        this.container = container;
        this.onjoin = onjoin;
        this.watchesOnly = claims.role === "observer" || (claims.role === "attendee" && claims.kind === "broadcast");
        this.#build(claims, room);
        navigator.mediaDevices?.addEventListener("devicechange", this.#devicesChanged);
        if (this.watchesOnly) return;
        if (!this.#choice.cameraOff) void this.#setCamera(true);
        if (!this.#choice.microphoneOff) void this.#setMicrophone(true);
        void this.#fillLists();
    }

    /**
     * @param {import("../shared/token.js").Claims} claims
     * @param {string} room
     */
    #build(claims, room) {
        this.video = h("video", { autoplay: true, muted: true, playsInline: true, class: "mirrored", "aria-label": "Your camera" });
        this.emptyWords = h("p", { text: "Your camera is off" });
        this.empty = h("div", { class: "preview-empty" }, icon("camera-off"), this.emptyWords);
        this.cameraButton = this.#switch("camera", "Camera", () => this.#setCamera(!this.#camera));
        this.microphoneButton = this.#switch("mic", "Microphone", () => this.#setMicrophone(!this.#microphone));
        this.steps = Array.from({ length: meterSteps }, () => document.createElement("i"));
        this.meterElement = h("div", { class: "meter", role: "img", "aria-label": "Microphone level" }, ...this.steps);

        this.cameras = this.#select("Camera", (value) => {
            this.#choice.camera = value;
            void this.#setCamera(true);
        });
        this.microphones = this.#select("Microphone", (value) => {
            this.#choice.microphone = value;
            void this.#setMicrophone(true);
        });
        this.speakers = this.#select("Loudspeaker", (value) => {
            this.#choice.speaker = value;
        });
        this.quality = this.#select("Picture", (value) => {
            this.#choice.quality = value;
            if (this.#camera) void this.#setCamera(true);
        });
        for (const [value, { label }] of Object.entries(qualities)) {
            this.quality.select.append(h("option", { value, text: label, selected: value === (this.#choice.quality ?? "standard") }));
        }
        this.problems = h("div", { class: "problems", "aria-live": "polite" });
        this.joinButton = h(
            "button", { type: "button", class: "button primary join-button", id: "join", onclick: () => this.#join() },
            icon("door"), h("span", { text: "Join" }),
        );

        const title = claims.title || room;
        const preview = h(
            "div", { class: "preview" }, this.video, this.empty,
            h("div", { class: "preview-bar" }, this.microphoneButton.element, this.cameraButton.element),
        );
        const devices = h(
            "div", { class: "devices" }, this.cameras.field, this.microphones.field, this.speakers.field, this.quality.field,
        );
        const me = h(
            "div", { class: "me" },
            h("span", { class: "soft small", text: "You join as" }),
            h("strong", { text: claims.name || claims.sub || "Guest" }),
            claims.role ? h("span", { class: "chip accent", text: roleName(claims.role) }) : null,
        );
        this.container.replaceChildren(
            h(
                "main", { class: "join" },
                h("header", {}, h("a", { class: "brand", href: "/" }, icon("mark"), "Consilium")),
                h(
                    "div", { class: this.watchesOnly ? "join-body watches" : "join-body" },
                    this.watchesOnly ? null : preview,
                    h(
                        "div", { class: "join-form" },
                        h(
                            "div", { class: "join-title" },
                            claims.kind ? h("span", { class: "soft small", text: kindName(claims.kind) }) : null,
                            h("h1", { text: title }),
                        ),
                        me,
                        this.watchesOnly ? h("p", { class: "soft", text: "You watch and listen. Your camera and microphone stay off." }) : null,
                        this.watchesOnly ? h("div", { class: "devices" }, this.speakers.field) : devices,
                        this.watchesOnly ? null : h("div", { class: "field" }, h("span", { class: "label", text: "Microphone level" }), this.meterElement),
                        this.problems,
                        this.joinButton,
                    ),
                ),
            ),
        );
        if (this.watchesOnly) void this.#fillLists();
        if (!devicesAllowedHere() && !this.watchesOnly) {
            this.#explain("camera", new DOMException("insecure", "InsecureContextError"));
        }
        this.#show();
        this.joinButton.focus({ preventScroll: true });
    }

    /**
     * @param {string} symbol
     * @param {string} label
     * @param {() => void} onclick
     */
    #switch(symbol, label, onclick) {
        const picture = icon(symbol);
        const element = h(
            "button", { type: "button", class: "round-button", "aria-pressed": "false", "aria-label": label, title: label, onclick }, picture,
        );
        return { element, picture, symbol };
    }

    /**
     * @param {string} label
     * @param {(value: string) => void} onchange
     */
    #select(label, onchange) {
        const select = h("select", { class: "select", id: `choose-${label.toLowerCase()}`, onchange: () => onchange(select.value) });
        const field = h("div", { class: "field" }, h("label", { text: label, for: select.id }), select);
        return { select, field };
    }

    #devicesChanged = () => void this.#fillLists();

    async #fillLists() {
        const { cameras, microphones, speakers } = await listDevices();
        fill(this.cameras?.select, cameras, "Camera", this.#camera?.getSettings().deviceId ?? this.#choice.camera);
        fill(this.microphones?.select, microphones, "Microphone", this.#microphone?.getSettings().deviceId ?? this.#choice.microphone);
        fill(this.speakers?.select, speakers, "Loudspeaker", this.#choice.speaker);
        const choosable = "setSinkId" in HTMLMediaElement.prototype && speakers.some((speaker) => speaker.deviceId);
        if (this.speakers) this.speakers.field.hidden = !choosable;
    }

    /** @param {boolean} on @returns {Promise<void>} */
    async #setCamera(on) {
        const turn = ++this.#opening.camera;
        this.#camera?.stop();
        this.#camera = null;
        this.#choice.cameraOff = !on;
        this.#resolve("camera");
        if (on) {
            this.#show("Starting the camera …");
            try {
                const track = await this.#started(openCamera(this.#choice.camera, this.#choice.quality));
                if (turn !== this.#opening.camera) return track.stop();
                this.#camera = track;
                track.addEventListener("ended", () => {
                    if (this.#camera === track) void this.#setCamera(false);
                });
            } catch (error) {
                if (turn !== this.#opening.camera) return;
                if (isGone(error) && this.#choice.camera) {
                    delete this.#choice.camera;
                    return this.#setCamera(true);
                }
                this.#explain("camera", error);
            }
        }
        this.#show();
        void this.#fillLists();
    }

    /** @param {boolean} on @returns {Promise<void>} */
    async #setMicrophone(on) {
        const turn = ++this.#opening.microphone;
        this.#microphone?.stop();
        this.#microphone = null;
        this.#meter?.close();
        this.#meter = null;
        this.#choice.microphoneOff = !on;
        this.#resolve("microphone");
        if (on) {
            try {
                const track = await this.#started(openMicrophone(this.#choice.microphone));
                if (turn !== this.#opening.microphone) return track.stop();
                this.#microphone = track;
                this.#meter = new LevelMeter(track);
                this.#animate();
            } catch (error) {
                if (turn !== this.#opening.microphone) return;
                if (isGone(error) && this.#choice.microphone) {
                    delete this.#choice.microphone;
                    return this.#setMicrophone(true);
                }
                this.#explain("microphone", error);
            }
        }
        this.#show();
        void this.#fillLists();
    }

    #animate() {
        cancelAnimationFrame(this.#frame);
        const draw = () => {
            const lit = Math.round((this.#meter?.level ?? 0) * meterSteps);
            this.steps?.forEach((step, index) => {
                step.className = index < lit ? (index >= meterSteps - 2 ? "lit hot" : "lit") : "";
            });
            if (this.#meter) this.#frame = requestAnimationFrame(draw);
        };
        this.#frame = requestAnimationFrame(draw);
        document.addEventListener("pointerdown", () => this.#meter?.wake(), { once: true });
    }

    /** @param {string} [words] shown in place of the picture */
    #show(words) {
        if (!this.video || !this.empty || !this.emptyWords || !this.cameraButton || !this.microphoneButton) return;
        const before = /** @type {MediaStream | null} */ (this.video.srcObject)?.getTracks()[0] ?? null;
        if (before !== this.#camera) this.video.srcObject = this.#camera ? new MediaStream([this.#camera]) : null;
        this.video.hidden = !this.#camera;
        this.empty.hidden = Boolean(this.#camera);
        setText(this.emptyWords, words ?? "Your camera is off");
        for (const [button, on, noun] of /** @type {const} */ ([
            [this.cameraButton, Boolean(this.#camera), "camera"],
            [this.microphoneButton, Boolean(this.#microphone), "microphone"],
        ])) {
            setAttribute(button.element, "aria-pressed", String(on));
            setIcon(button.picture, on ? button.symbol : `${button.symbol}-off`);
            const label = `Turn the ${noun} ${on ? "off" : "on"}`;
            setAttribute(button.element, "aria-label", label);
            button.element.title = label;
        }
        if (!this.#microphone) this.steps?.forEach((step) => (step.className = ""));
        const label = this.joinButton?.querySelector("span");
        const waiting = this.#joinWhenStarted ? "Starting … press again to join now" : "";
        if (label) setText(label, waiting ? waiting : this.watchesOnly ? "Join and watch" : this.#camera || this.#microphone ? "Join" : "Join without camera and microphone");
    }

    /**
     * @param {"camera" | "microphone"} device
     * @param {unknown} error
     */
    #explain(device, error) {
        this.#resolve(device);
        const { title, help } = explainDeviceError(error, device);
        const again = h("button", {
            type: "button", class: "button compact", text: "Try again",
            onclick: () => void (device === "camera" ? this.#setCamera(true) : this.#setMicrophone(true)),
        });
        this.problems?.append(
            h(
                "div", { class: "message warning", data: { device } }, icon("warning"),
                h("div", {}, h("strong", { text: title }), h("span", { class: "small soft", text: help })),
                devicesAllowedHere() ? again : null,
            ),
        );
    }

    /** @param {string} device */
    #resolve(device) {
        this.problems?.querySelector(`[data-device="${device}"]`)?.remove();
    }

    /**
     * @template T
     * @param {Promise<T>} opening
     * @returns {Promise<T>}
     */
    async #started(opening) {
        this.#starting.add(opening);
        try {
            return await opening;
        } finally {
            this.#starting.delete(opening);
            // After what follows the opening has put the device in its place.
            if (this.#joinWhenStarted && this.#starting.size === 0) setTimeout(() => this.#join());
        }
    }

    /** Waits for devices that are still starting, so that nobody comes in mute; pressed again, it does not wait. */
    #join() {
        if (this.#starting.size > 0 && !this.#joinWhenStarted) {
            this.#joinWhenStarted = true;
            this.#show();
            return;
        }
        if (this.#isClosed) return;
        rememberChoice(this.#choice);
        const choice = { camera: this.#camera, microphone: this.#microphone, choice: { ...this.#choice } };
        this.#camera = null;
        this.#microphone = null;
        this.close();
        this.onjoin(choice);
    }

    /** Gives back what it still holds. */
    close() {
        this.#isClosed = true;
        // What opens later is nobody's and stops at once.
        this.#opening.camera += 1;
        this.#opening.microphone += 1;
        cancelAnimationFrame(this.#frame);
        this.#meter?.close();
        this.#meter = null;
        this.#camera?.stop();
        this.#microphone?.stop();
        navigator.mediaDevices?.removeEventListener("devicechange", this.#devicesChanged);
    }
}

/** @param {unknown} error */
function isGone(error) {
    return error instanceof DOMException || error instanceof Error ? error.name === "OverconstrainedError" : false;
}

/**
 * @param {HTMLSelectElement | undefined} select
 * @param {MediaDeviceInfo[]} devices
 * @param {string} noun
 * @param {string | undefined} chosen
 */
function fill(select, devices, noun, chosen) {
    if (!select) return;
    const options = devices
        .filter((device) => device.deviceId)
        .map((device, index) => h("option", { value: device.deviceId, text: device.label || `${noun} ${index + 1}`, selected: device.deviceId === chosen }));
    if (options.length === 0) {
        const words = devices.length > 0 ? "Not permitted yet" : `No ${noun.toLowerCase()}`;
        options.push(h("option", { value: "", text: words }));
    }
    select.disabled = devices.length === 0;
    select.replaceChildren(...options);
}
