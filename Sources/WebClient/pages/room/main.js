// Starts the room page: invitation, join screen, lobby, room, and what is said at the end.

import { h, icon } from "../shared/dom.js";
import { readClaims, takeInvitation } from "../shared/token.js";
import { explainRefusal } from "../shared/words.js";
import { announce } from "./announce.js";
import { Call } from "./call.js";
import { JoinScreen } from "./join.js";
import { RoomView } from "./room-view.js";

const app = /** @type {HTMLElement} */ (document.getElementById("app"));
const unreachableAfter = 3;

/** A new invitation in the address of an open page is a new page. */
window.addEventListener("hashchange", () => {
    if (location.hash.includes("token=")) location.reload();
});

/**
 * @param {string} symbol
 * @param {string} title
 * @param {string} words
 * @param {{ label: string, href?: string, run?: () => void, primary?: boolean }[]} [actions]
 */
function showMessage(symbol, title, words, actions = []) {
    document.title = `${title} – Consilium`;
    const heading = h("h1", { text: title, tabIndex: -1 });
    const buttons = actions.map(({ label, href, run, primary }) => {
        const className = primary ? "button primary" : "button";
        return href ? h("a", { class: className, href, text: label }) : h("button", { type: "button", class: className, text: label, onclick: run });
    });
    app.replaceChildren(
        h(
            "main", { class: "whole-page" },
            h("div", { class: "page-message" }, icon(symbol), heading, h("p", { text: words }), h("div", { class: "actions" }, ...buttons)),
        ),
    );
    announce(`${title}. ${words}`);
    heading.focus({ preventScroll: true });
}

/**
 * @param {import("../shared/token.js").Claims} claims
 * @param {{ room: string, token: string }} invitation
 */
function join(claims, invitation) {
    document.title = `${claims.title || invitation.room} – Consilium`;
    new JoinScreen(app, { claims, room: invitation.room, onjoin: (choice) => enter(claims, invitation, choice) });
}

/**
 * @param {import("../shared/token.js").Claims} claims
 * @param {{ room: string, token: string }} invitation
 * @param {import("./join.js").JoinChoice} choice
 */
function enter(claims, invitation, choice) {
    const call = new Call(invitation, choice);
    /** @type {RoomView | null} */
    let view = null;
    const title = claims.title || invitation.room;
    const again = { label: "Join again", run: () => location.reload(), primary: true };
    const home = { label: "Start page", href: "/" };
    const give = () => ({ label: "Do not wait", run: () => void call.connection.close().then(() => location.assign("/")) });

    window.consilium = {
        get state() {
            return call.model.state;
        },
        get self() {
            return call.model.self;
        },
        get view() {
            return view;
        },
        get popouts() {
            return view?.popouts;
        },
        connection: call.connection,
        media: call.media,
        call,
        model: call.model,
        viewport: (/** @type {string} */ name = "main") => view?.stage.surface(name)?.view ?? null,
    };

    /** @param {string} type @param {(detail: any) => void} handler */
    const on = (type, handler) => call.addEventListener(type, (event) => handler(/** @type {CustomEvent} */ (event).detail));
    on("entered", () => {
        if (view) return;
        view = new RoomView(app, call);
        announce(`You are in ${call.model.state.title || invitation.room}`);
        document.getElementById("stage")?.focus({ preventScroll: true });
    });
    on("waiting", () => {
        view?.destroy();
        view = null;
        showMessage("door", title, "You are in the lobby. Somebody in the room will let you in; this page goes on by itself.", [give()]);
        app.querySelector(".page-message")?.classList.add("waiting");
    });
    on("postponed", ({ code, message }) => {
        if (view) return;
        const words = code === "not_open" ? "The session has not begun yet. You come in by yourself as soon as it does." : sentence(message);
        showMessage("clock", title, words, [give()]);
        app.querySelector(".page-message")?.classList.add("waiting");
    });
    on("rejected", ({ reason }) => showMessage("door", "You were not let in", reason || "The people in the room did not admit you.", [again, home]));
    on("refused", ({ code, message }) => {
        view?.destroy();
        view = null;
        const { title: heading, help } = explainRefusal(code, message);
        showMessage("warning", heading, help, [again, home]);
    });
    on("left", ({ reason, ended }) => {
        view?.destroy();
        view = null;
        const left = reason === "left";
        const heading = ended ? "The session has ended" : left ? "You have left the session" : "You are no longer in the session";
        const words = ended ? "If it was recorded, it can be replayed now." : left ? "Your camera and microphone are off." : sentence(reason);
        showMessage("leave", heading, words, ended ? [{ label: "Open recordings", href: "/replay.html", primary: true }, home] : [again, home]);
    });
    on("retry", ({ attempt, everOpened }) => {
        if (view || everOpened || attempt < unreachableAfter) return;
        showMessage(
            "network-off", "The server cannot be reached",
            navigator.onLine ? "It may be stopped, or a firewall is in the way. This page keeps trying." : "This computer is offline. This page keeps trying.",
            [home],
        );
    });
    window.addEventListener("pagehide", () => void call.connection.close());

    showMessage("door", title, "Entering …");
    call.start();
}

/** @param {string | undefined} reason */
function sentence(reason) {
    if (!reason) return "You were removed from it.";
    return `${reason.charAt(0).toUpperCase()}${reason.slice(1)}.`;
}

const invitation = takeInvitation();
const claims = readClaims(invitation.token);
if (!invitation.token) {
    showMessage("link", "An invitation is needed", "Open the link you were sent, or paste it on the start page.", [{ label: "Start page", href: "/", primary: true }]);
} else if (!claims || !invitation.room) {
    showMessage("warning", "This invitation cannot be read", "The link is not complete. Copy all of it and open it again.", [{ label: "Start page", href: "/", primary: true }]);
} else if (claims.exp !== undefined && claims.exp * 1000 < Date.now()) {
    const { title, help } = explainRefusal("token_expired", "");
    showMessage("clock", title, help, [{ label: "Start page", href: "/", primary: true }]);
} else {
    join(claims, invitation);
}
