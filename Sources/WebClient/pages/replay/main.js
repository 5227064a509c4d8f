// The replay page: shows the list of recordings, or one of them at the time that the address names.

import { h, icon } from "../shared/dom.js";
import { takeInvitation } from "../shared/token.js";
import { Refusal, Server } from "./api.js";
import { Library } from "./library.js";
import { Player } from "./player.js";
import { readAddress } from "./address.js";

const app = /** @type {HTMLElement} */ (document.getElementById("app"));
const invitation = takeInvitation();
const server = new Server(invitation.token);

/** @type {{ destroy(): void } | null} */
let view = null;
let shown = 0;

async function show() {
    const turn = ++shown;
    const { recording, t } = readAddress();
    view?.destroy();
    view = null;
    app.replaceChildren(h("p", { class: "page-message", role: "status", text: "Loading …" }));
    try {
        if (recording) {
            const [manifest, timeline] = await Promise.all([server.manifest(recording), server.timeline(recording)]);
            if (turn !== shown) return;
            view = new Player(app, server, manifest, timeline, t);
        } else {
            const recordings = await server.recordings();
            if (turn !== shown) return;
            view = new Library(app, server, recordings);
        }
    } catch (error) {
        if (turn === shown) complain(error);
    }
}

/** @param {unknown} error */
function complain(error) {
    const isRefusal = error instanceof Refusal;
    if (!isRefusal) console.error(error);
    const { recording } = readAddress();
    app.replaceChildren(
        h(
            "main", { class: "page-message" },
            icon(isRefusal ? "door" : "network-off"),
            h("h1", { text: isRefusal ? "This did not open" : "The server cannot be reached" }),
            h("p", { role: "alert", text: isRefusal ? error.message : "Check the network, then try again." }),
            h(
                "div", { class: "actions" },
                h("button", { type: "button", class: "button primary", text: "Try again", onclick: () => void show() }),
                recording ? h("a", { class: "button", href: "#", text: "All recordings" }) : h("a", { class: "button", href: "/", text: "Start page" }),
            ),
        ),
    );
}

// What is shown, for tests and for the console.
Object.defineProperty(window, "replay", { get: () => view });

window.addEventListener("hashchange", () => void show());

try {
    await server.openSession();
    await show();
} catch (error) {
    complain(error);
}
