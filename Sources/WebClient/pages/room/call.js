// Being in a room: ties the connection, the media and the model together, and offers what a person can do as methods.

import { Connection, RequestError } from "../shared/connection.js";
import {
    explainDeviceError, openCamera, openMicrophone, openScreen, rememberChoice,
} from "../shared/devices.js";
import { readVideoChoice } from "../shared/encodings.js";
import { Media } from "../shared/media.js";
import { streamRoleName } from "../shared/words.js";
import { announce, complain, toast } from "./announce.js";
import { RoomModel } from "./model.js";

/** @typedef {import("../shared/consilium").JoinReply} JoinReply */
/** @typedef {import("../shared/consilium").RoomEvent} RoomEvent */
/** @typedef {import("../shared/consilium").Presence} Presence */
/** @typedef {import("./join.js").JoinChoice} JoinChoice */

const cameraStream = "camera";
const microphoneStream = "microphone";
/** A notice about a lost transport within this time (ms) of a new one means the one before. */
const freshTransport = 3_000;

/**
 * Events besides the model's: `entered`, `waiting`, `rejected` {reason}, `refused` {code, message}, `left` {reason, ended},
 * `postponed` {code, message}, `retry`, `pointer` (detail: presence), `event` (detail: the room's event).
 */
export class Call extends EventTarget {
    #stopped = false;
    /**
     * Our streams that the server, being at its limit, does not take.
     * @type {string[]}
     */
    #notTaken = [];
    #limitMessage = "";

    /**
     * @param {{ room: string, token: string }} invitation
     * @param {JoinChoice} joined
     */
    constructor(invitation, joined) {
        super();
        this.model = new RoomModel();
        this.connection = new Connection(invitation);
        this.media = new Media((offer) => this.connection.request("negotiate", offer), readVideoChoice(location.search));
        this.choice = joined.choice;
        this.token = invitation.token;
        /** @type {{ camera: MediaStreamTrack | null, microphone: MediaStreamTrack | null }} */
        this.opened = { camera: joined.camera, microphone: joined.microphone };
        this.#listen();
    }

    start() {
        this.connection.open();
    }

    #listen() {
        const { connection, media, model } = this;
        /** @param {string} type @param {(detail: any) => void} handler */
        const on = (type, handler) => connection.addEventListener(type, (event) => handler(/** @type {CustomEvent} */ (event).detail));
        on("status", (status) => {
            model.connection = status;
            model.changed();
        });
        on("joined", ({ reply, resumed }) => this.#joined(reply, resumed));
        on("waiting", () => this.#tell("waiting"));
        on("rejected", (detail) => this.#stop("rejected", detail));
        on("refused", (detail) => this.#stop("refused", detail));
        on("postponed", (detail) => this.#tell("postponed", detail));
        on("retry", (detail) => this.#tell("retry", detail));
        on("event", (event) => this.#event(event));
        on("presence", (presence) => this.#presence(presence));
        on("notice", (notice) => this.#notice(notice));
        media.addEventListener("change", () => model.changed());
        media.addEventListener("state", (event) => {
            model.mediaState = /** @type {CustomEvent} */ (event).detail;
            model.changed();
        });
        media.addEventListener("failed", (event) => {
            const { code, message } = /** @type {CustomEvent} */ (event).detail;
            console.warn(`negotiation failed (${code}): ${message}`);
            const words = code === "browser" || /^\d+$/.test(code) ? "Trying again." : message;
            toast(`Sound and pictures could not be set up. ${words}`, { kind: "warning" });
        });
    }

    /**
     * @param {JoinReply} reply
     * @param {boolean} resumed
     */
    #joined(reply, resumed) {
        const { model, media } = this;
        model.self = reply.participant;
        model.role = reply.role;
        model.permissions = new Set(reply.permissions);
        if (reply.snapshot) model.reset(reply.snapshot.state);
        if (!media.peer) {
            // The first time in the room, be it straight away, out of the lobby, or let in while the connection was down.
            this.#publishOpened();
            media.start();
        } else if (resumed) {
            media.resumed();
            announce("Connected again");
        } else {
            // The server does not know us any more: a new participant with a new transport.
            media.rebuild();
        }
        this.#tell("entered", { resumed });
    }

    #publishOpened() {
        const { camera, microphone } = this.opened;
        if (microphone && this.model.may("speak")) {
            this.media.publish({ stream: microphoneStream, role: "audio", kind: "audio" }, microphone);
            this.#watchEnd(microphone, microphoneStream);
        } else {
            microphone?.stop();
        }
        if (camera && this.model.may("publish")) {
            this.media.publish({ stream: cameraStream, role: "camera", kind: "video", layered: true }, camera);
            this.#watchEnd(camera, cameraStream);
        } else {
            camera?.stop();
        }
    }

    /** @param {RoomEvent} event */
    #event(event) {
        const { model } = this;
        try {
            model.apply(event);
        } catch (error) {
            // A newer server speaks of things this page does not know; the rest still holds.
            console.warn(error);
        }
        this.dispatchEvent(new CustomEvent("event", { detail: event }));
        if (event.event === "room.ended") this.#stop("left", { reason: event.reason, ended: true });
        if (event.event === "participant.left" && event.participant === model.self) {
            this.#stop("left", { reason: event.reason, ended: false });
        }
        if (event.event === "stream.muted" && event.participant === model.self && event.by !== model.self) {
            this.#mutedByOther(event);
        }
    }

    /** @param {RoomEvent} event */
    #mutedByOther(event) {
        const local = this.media.local.get(event.stream);
        if (!local || !event.muted) return;
        this.media.setMuted(event.stream, true);
        const what = local.kind === "audio" ? "muted your microphone" : `switched off your ${local.label || local.stream}`;
        toast(`${this.model.name(event.by)} ${what}.`, { icon: local.kind === "audio" ? "mic-off" : "camera-off" });
        if (event.stream === cameraStream) void this.media.replace(cameraStream, null);
    }

    /** @param {Presence} presence */
    #presence(presence) {
        if (presence.presence === "levels") this.model.hear(presence["levels"] ?? {});
        else if (presence.presence === "speaker") this.model.setSpeaker(presence["participant"] ?? null);
        else if (presence.presence === "pointer") this.dispatchEvent(new CustomEvent("pointer", { detail: presence }));
    }

    /** @param {import("../shared/consilium").Notice} notice */
    #notice(notice) {
        switch (notice.notice) {
            case "media.sections":
                this.media.assign(notice["sections"] ?? [], notice["needed"]);
                break;
            case "media.refused":
                this.#refused(notice["message"] ?? "", notice["sent"] ?? []);
                break;
            case "media.wanted":
                this.media.setWanted(notice["streams"] ?? []);
                break;
            case "media.state":
                // The server gave the transport up; ours may not have noticed yet.
                if (notice["state"] === "disconnected" && this.media.age > freshTransport) this.media.rebuild();
                break;
            case "goodbye":
                toast("The server is stopping. This page comes back by itself when it is up again.", { kind: "warning" });
                break;
            default:
                break;
        }
    }

    /**
     * The server is at its limit, or has room again.
     * @param {string} message
     * @param {string[]} sent names of our streams that it does not take
     */
    #refused(message, sent) {
        const hasRoom = this.#notTaken.some((stream) => !sent.includes(stream));
        this.#notTaken = sent;
        if (message && message !== this.#limitMessage) toast(message, { kind: "warning" });
        this.#limitMessage = message;
        if (hasRoom) this.media.negotiate();
    }

    /**
     * @param {string} type
     * @param {unknown} detail
     */
    #stop(type, detail) {
        if (this.#stopped) return;
        this.#stopped = true;
        this.media.close();
        this.opened.camera?.stop();
        this.opened.microphone?.stop();
        this.#tell(type, detail);
    }

    // What a person can do.

    /** @param {string} command @param {Record<string, unknown>} [fields] @returns {Promise<any>} null when it was refused (and said so) */
    async perform(command, fields = {}) {
        try {
            return await this.connection.request(command, fields);
        } catch (error) {
            complain(error);
            return null;
        }
    }

    get microphoneOn() {
        const local = this.media.local.get(microphoneStream);
        return Boolean(local && !local.muted && local.track);
    }

    get cameraOn() {
        const local = this.media.local.get(cameraStream);
        return Boolean(local && !local.muted && local.track);
    }

    get screens() {
        return [...this.media.local.values()].filter((local) => local.kind === "video" && local.stream !== cameraStream);
    }

    /** @param {boolean} on */
    async setMicrophone(on) {
        const local = this.media.local.get(microphoneStream);
        if (on && (!local || !local.track || local.track.readyState === "ended")) {
            const track = await this.#open("microphone");
            if (!track) return;
            if (local) {
                local.muted = false;
                await this.media.replace(microphoneStream, track);
            } else {
                this.media.publish({ stream: microphoneStream, role: "audio", kind: "audio" }, track);
            }
            this.#watchEnd(track, microphoneStream);
            if (!local) return;
        }
        this.media.setMuted(microphoneStream, !on);
        await this.#tellMuted(microphoneStream, !on);
        announce(on ? "Microphone on" : "Microphone off");
    }

    /** @param {boolean} on */
    async setCamera(on) {
        const local = this.media.local.get(cameraStream);
        if (!on) {
            if (!local) return;
            this.media.setMuted(cameraStream, true);
            // Stopping the track puts out the camera's light.
            await this.media.replace(cameraStream, null);
            await this.#tellMuted(cameraStream, true);
            announce("Camera off");
            return;
        }
        const track = await this.#open("camera");
        if (!track) return;
        if (local) {
            local.muted = false;
            await this.media.replace(cameraStream, track);
            await this.#tellMuted(cameraStream, false);
        } else {
            this.media.publish({ stream: cameraStream, role: "camera", kind: "video", layered: true }, track);
        }
        this.#watchEnd(track, cameraStream);
        announce("Camera on");
    }

    /** Shares one more screen, with its sound when the browser gives it. */
    async shareScreen() {
        let stream;
        try {
            stream = await openScreen();
        } catch (error) {
            const { title, help } = explainDeviceError(error, "screen");
            toast(`${title}. ${help}`, { kind: "warning" });
            return;
        }
        const name = this.#freeName("screen");
        const [video] = stream.getVideoTracks();
        const [audio] = stream.getAudioTracks();
        if (video) {
            this.media.publish({ stream: name, role: "document", kind: "video", label: screenLabel(video) }, video);
            video.addEventListener("ended", () => this.stopSharing(name));
        }
        // A participant has two sounds: the microphone and one screen's.
        const soundTaken = [...this.media.local.values()].filter((local) => local.kind === "audio").length >= 2;
        if (audio && !soundTaken && this.model.may("speak")) {
            this.media.publish({ stream: `${name}-sound`, role: "audio", kind: "audio", label: "Screen sound" }, audio);
        } else {
            audio?.stop();
        }
        announce("You share a screen");
    }

    /**
     * Sends one more camera: a document camera, the surgical field, a panorama of the room.
     * @param {string} role
     * @param {string} deviceId
     */
    async shareCamera(role, deviceId) {
        try {
            const track = await openCamera(deviceId, "high");
            const name = this.#freeName(role === "document" ? "document" : role);
            this.media.publish({ stream: name, role, kind: "video", label: streamRoleName(role) }, track);
            track.addEventListener("ended", () => this.stopSharing(name));
        } catch (error) {
            const { title, help } = explainDeviceError(error, "camera");
            toast(`${title}. ${help}`, { kind: "warning" });
        }
    }

    /** @param {string} stream */
    stopSharing(stream) {
        if (!this.media.local.has(stream)) return;
        this.media.unpublish(stream);
        this.media.unpublish(`${stream}-sound`);
        announce("You stopped sharing");
    }

    /**
     * Other devices than those chosen at the door.
     * @param {import("../shared/devices.js").DeviceChoice} choice
     */
    async changeDevices(choice) {
        const before = this.choice;
        this.choice = { ...before, ...choice };
        rememberChoice(this.choice);
        if ((choice.camera ?? before.camera) !== before.camera || (choice.quality ?? before.quality) !== before.quality) {
            if (this.cameraOn) await this.setCamera(true);
        }
        if ((choice.microphone ?? before.microphone) !== before.microphone && this.microphoneOn) {
            const track = await this.#open("microphone");
            if (track) await this.media.replace(microphoneStream, track);
        }
        this.model.changed();
    }

    /** @param {boolean} forAll */
    async leave(forAll) {
        if (forAll && !(await this.perform("room.end"))) return;
        if (!forAll) await this.connection.close();
        this.#stop("left", { reason: forAll ? "ended by you" : "left", ended: forAll });
    }

    /**
     * Fetches from the server's interface with this invitation.
     * @type {(path: string, options?: RequestInit) => Promise<Response>}
     */
    fetch = (path, options = {}) =>
        fetch(path, { ...options, headers: { ...options.headers, Authorization: `Bearer ${this.token}` } });

    /** @param {"camera" | "microphone"} device */
    async #open(device) {
        try {
            if (device === "camera") return await openCamera(this.choice.camera, this.choice.quality);
            return await openMicrophone(this.choice.microphone);
        } catch (error) {
            const { title, help } = explainDeviceError(error, device);
            toast(`${title}. ${help}`, { kind: "warning" });
            return null;
        }
    }

    /**
     * @param {string} stream
     * @param {boolean} muted
     */
    async #tellMuted(stream, muted) {
        // Before the first answer the offer itself carries the mute.
        if (!this.model.me?.streams[stream]) return;
        try {
            await this.connection.request("stream.mute", { stream, muted });
        } catch (error) {
            if (error instanceof RequestError && error.code === "connection_lost") return;
            complain(error);
            if (!muted) this.media.setMuted(stream, true);
        }
    }

    /**
     * A device that is pulled out is a device that is off.
     * @param {MediaStreamTrack} track
     * @param {string} stream
     */
    #watchEnd(track, stream) {
        track.addEventListener("ended", () => {
            if (this.media.local.get(stream)?.track !== track) return;
            toast(stream === cameraStream ? "The camera was disconnected." : "The microphone was disconnected.", { kind: "warning" });
            if (stream === cameraStream) void this.setCamera(false);
            else void this.setMicrophone(false);
        });
    }

    /** @param {string} base */
    #freeName(base) {
        let name = base;
        for (let number = 2; this.media.local.has(name); number += 1) name = `${base}-${number}`;
        return name;
    }

    /**
     * @param {string} type
     * @param {unknown} [detail]
     */
    #tell(type, detail) {
        this.dispatchEvent(new CustomEvent(type, { detail }));
    }
}

/** @param {MediaStreamTrack} track */
function screenLabel(track) {
    const surface = track.getSettings().displaySurface;
    return { monitor: "Screen", window: "Window", browser: "Browser tab" }[surface ?? ""] ?? "Screen";
}
