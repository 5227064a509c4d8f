// A window of its own for one picture: asks the room window that opened it for the stream or the viewport, and shows that alone.

import { h, icon } from "./shared/dom.js";
import { ViewportSurface } from "./room/viewport-surface.js";

/** @typedef {import("./room/popouts.js").PopoutView} PopoutView */

const id = location.hash.slice(1);
const picture = /** @type {HTMLElement} */ (document.getElementById("picture"));
const bar = /** @type {HTMLElement} */ (document.getElementById("bar"));
const title = /** @type {HTMLElement} */ (document.getElementById("title"));
const recording = /** @type {HTMLElement} */ (document.getElementById("recording"));
const fullscreen = /** @type {HTMLElement} */ (document.getElementById("fullscreen"));

const host = /** @type {import("./room/popouts.js").Popouts | undefined} */ (window.opener?.consilium?.popouts);
const video = h("video", { autoplay: true, muted: true, playsInline: true });

/**
 * @param {string} heading
 * @param {string} words
 */
function say(heading, words) {
    picture.replaceChildren(h("div", { class: "page-message" }, icon("popout"), h("h1", { text: heading }), h("p", { text: words })));
}

/** @param {PopoutView} view */
function render(view) {
    document.title = `${view.title} – Consilium`;
    title.textContent = view.title;
    recording.hidden = !view.recording;
    if (view.gone) {
        say("No longer shown", "This picture has ended. The window can be closed.");
        return;
    }
    if (view.tile.kind === "viewport") return;
    if (!video.isConnected) picture.replaceChildren(video);
    video.classList.toggle("mirrored", view.mirrored);
    if (video.srcObject !== view.media) video.srcObject = view.media;
}

function toggleFullscreen() {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void document.documentElement.requestFullscreen();
}

const attached = host?.attach(id, render);
if (attached && host) {
    document.documentElement.dataset["theme"] = attached.theme;
    /** @type {ViewportSurface | null} */
    let surface = null;
    if (attached.tile.kind === "viewport") {
        surface = new ViewportSurface(picture, attached.viewports, attached.tile.viewport);
        // Beside the words that say who steers, where it hides nothing of the image.
        surface.bar.append(recording, fullscreen);
        bar.hidden = true;
        window.consilium = { surface };
    }
    window.addEventListener("pagehide", () => {
        surface?.destroy();
        host.detach(id);
    });
    document.addEventListener("keydown", (event) => {
        if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
        if (event.key === "f") toggleFullscreen();
        else if (event.key === "r") surface?.follow();
    });
    fullscreen.addEventListener("click", toggleFullscreen);
    picture.addEventListener("dblclick", () => {
        if (!surface) toggleFullscreen();
    });
} else {
    say("The room window is closed", "This window shows a picture of a room. Open it again from there.");
}
