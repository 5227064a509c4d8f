// Cameras, microphones and loudspeakers: which there are, opening them, what to say when that is refused, and how loud it is.

/** @typedef {{ title: string, help: string }} Explanation */

const storageKey = "consilium.devices";

/** @typedef {{ camera?: string, microphone?: string, speaker?: string, quality?: string, cameraOff?: boolean, microphoneOff?: boolean }} DeviceChoice */

/** @returns {DeviceChoice} */
export function rememberedChoice() {
    try {
        return JSON.parse(localStorage.getItem(storageKey) ?? "{}") ?? {};
    } catch {
        return {};
    }
}

/** @param {DeviceChoice} choice */
export function rememberChoice(choice) {
    try {
        localStorage.setItem(storageKey, JSON.stringify(choice));
    } catch {
        // Then it is asked again next time.
    }
}

/** Picture sizes a user may choose; the key is what is remembered. */
export const qualities = /** @type {const} */ ({
    low: { label: "360p, for slow connections", width: 640, height: 360 },
    standard: { label: "720p", width: 1280, height: 720 },
    high: { label: "1080p", width: 1920, height: 1080 },
});

/** Whether the browser lets this page use devices at all (it needs HTTPS or the local machine). */
export function devicesAllowedHere() {
    return window.isSecureContext && Boolean(navigator.mediaDevices?.getUserMedia);
}

/** @returns {Promise<{ cameras: MediaDeviceInfo[], microphones: MediaDeviceInfo[], speakers: MediaDeviceInfo[] }>} */
export async function listDevices() {
    const found = devicesAllowedHere() ? await navigator.mediaDevices.enumerateDevices().catch(() => []) : [];
    return {
        cameras: found.filter((device) => device.kind === "videoinput"),
        microphones: found.filter((device) => device.kind === "audioinput"),
        speakers: found.filter((device) => device.kind === "audiooutput"),
    };
}

/**
 * @param {string | undefined} deviceId
 * @param {string | undefined} quality
 * @returns {Promise<MediaStreamTrack>}
 */
export async function openCamera(deviceId, quality) {
    const size = qualities[/** @type {keyof typeof qualities} */ (quality ?? "standard")] ?? qualities.standard;
    const stream = await open({
        video: {
            ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
            width: { ideal: size.width },
            height: { ideal: size.height },
            frameRate: { ideal: 30, max: 30 },
        },
    });
    return /** @type {MediaStreamTrack} */ (stream.getVideoTracks()[0]);
}

/**
 * @param {string | undefined} deviceId
 * @returns {Promise<MediaStreamTrack>}
 */
export async function openMicrophone(deviceId) {
    const stream = await open({
        audio: {
            ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
            echoCancellation: true,
            noiseSuppression: true,
            autoGainControl: true,
        },
    });
    return /** @type {MediaStreamTrack} */ (stream.getAudioTracks()[0]);
}

/** @returns {Promise<MediaStream>} */
export async function openScreen() {
    if (!navigator.mediaDevices?.getDisplayMedia) throw new DOMException("no screen capture", "NotSupportedError");
    /** @type {any} */
    const options = {
        video: { frameRate: { ideal: 15, max: 30 } },
        audio: true,
        surfaceSwitching: "include",
        selfBrowserSurface: "exclude",
        systemAudio: "include",
    };
    return navigator.mediaDevices.getDisplayMedia(options);
}

/** @param {MediaStreamConstraints} constraints */
async function open(constraints) {
    if (!devicesAllowedHere()) throw new DOMException("insecure context", "InsecureContextError");
    return navigator.mediaDevices.getUserMedia(constraints);
}

/**
 * What went wrong, in words that say what to do next.
 * @param {unknown} error
 * @param {"camera" | "microphone" | "screen"} device
 * @returns {Explanation}
 */
export function explainDeviceError(error, device) {
    const name = error instanceof Error || error instanceof DOMException ? error.name : "";
    const Device = device === "camera" ? "Camera" : device === "microphone" ? "Microphone" : "Screen";
    switch (name) {
        case "NotAllowedError":
        case "SecurityError":
            if (device === "screen") {
                return { title: "The screen is not shared", help: "Sharing was cancelled, or the browser or this computer does not permit it." };
            }
            return {
                title: `${Device} is blocked`,
                help: `The browser does not let this page use the ${device}. Open the site settings beside the address, allow the ${device}, then try again.`,
            };
        case "NotFoundError":
        case "DevicesNotFoundError":
            return { title: `No ${device} found`, help: `Connect a ${device}, or join without one.` };
        case "NotReadableError":
        case "TrackStartError":
        case "AbortError":
            return {
                title: `${Device} cannot be started`,
                help: `Another program is probably using the ${device}. Close it, then try again.`,
            };
        case "OverconstrainedError":
            return { title: `The chosen ${device} is gone`, help: `Choose another ${device} from the list.` };
        case "InsecureContextError":
            return {
                title: `${Device} needs a secure connection`,
                help: "Browsers give cameras and microphones only to pages opened with https. Ask for the https address of this server.",
            };
        case "NotSupportedError":
            return { title: "Screen sharing is not available", help: "This browser cannot share screens. A current desktop browser can." };
        default:
            return { title: `${Device} does not work`, help: error instanceof Error ? error.message : "Unknown reason." };
    }
}

/** How loud a track is, for a meter. */
export class LevelMeter {
    /** @type {AudioContext | null} */
    #context = null;
    /** @type {AnalyserNode | null} */
    #analyser = null;
    #samples = new Float32Array(1024);

    /** @param {MediaStreamTrack} track */
    constructor(track) {
        try {
            this.#context = new AudioContext();
            this.#analyser = this.#context.createAnalyser();
            this.#analyser.fftSize = this.#samples.length;
            this.#context.createMediaStreamSource(new MediaStream([track])).connect(this.#analyser);
        } catch {
            this.#analyser = null;
        }
    }

    /** @returns {number} 0 (silence, below −60 dB) … 1 (full scale) */
    get level() {
        if (!this.#analyser) return 0;
        this.#analyser.getFloatTimeDomainData(this.#samples);
        let sum = 0;
        for (const sample of this.#samples) sum += sample * sample;
        const decibels = 10 * Math.log10(sum / this.#samples.length + 1e-9);
        return Math.min(1, Math.max(0, (decibels + 60) / 55));
    }

    /** Browsers keep sound asleep until somebody has clicked. */
    wake() {
        if (this.#context?.state === "suspended") void this.#context.resume();
    }

    close() {
        void this.#context?.close();
        this.#context = null;
        this.#analyser = null;
    }
}
