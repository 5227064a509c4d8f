// The first page: reads a pasted invitation and goes to its room or to the recordings.

import { readClaims, readPasted } from "./shared/token.js";
import { roleName } from "./shared/words.js";

/** @type {<Kind extends HTMLElement>(id: string) => Kind} */
const byId = (id) => /** @type {any} */ (document.getElementById(id));

const form = /** @type {HTMLFormElement} */ (byId("enter"));
const pasted = /** @type {HTMLTextAreaElement} */ (byId("pasted"));
const room = /** @type {HTMLInputElement} */ (byId("room"));
const roomField = byId("room-field");
const found = byId("found");

/** @param {boolean} [complain] whether an unreadable text is to be named as such */
function look(complain = false) {
    const invitation = readPasted(pasted.value);
    found.classList.toggle("wrong", complain && !invitation);
    if (!invitation) {
        roomField.hidden = true;
        found.textContent = complain
            ? pasted.value.trim() ? "This is neither an invitation link nor a token." : "Paste the link you were sent first."
            : "";
        return null;
    }
    const claims = readClaims(invitation.token);
    roomField.hidden = invitation.room !== "";
    const expired = claims?.exp !== undefined && claims.exp * 1000 < Date.now();
    const who = claims?.name ? `${claims.name}${claims.role ? `, ${roleName(claims.role)}` : ""}` : "An invitation";
    const where = claims?.title ?? invitation.room;
    found.textContent = expired
        ? `${who}: this invitation has expired.`
        : where ? `${who}, for ${where}.` : `${who}. Which room?`;
    return invitation;
}

/** @param {"room" | "replay"} target */
function go(target) {
    const invitation = look(true);
    if (!invitation) {
        pasted.focus();
        return;
    }
    const fragment = new URLSearchParams();
    if (target === "room") {
        const name = invitation.room || room.value.trim();
        if (!name) {
            roomField.hidden = false;
            room.focus();
            return;
        }
        fragment.set("room", name);
    }
    fragment.set("token", invitation.token);
    location.assign(`/${target}.html#${fragment}`);
}

pasted.addEventListener("input", () => look());
pasted.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    form.requestSubmit();
});
form.addEventListener("submit", (event) => {
    event.preventDefault();
    go(readPasted(pasted.value)?.replay ? "replay" : "room");
});
byId("replay").addEventListener("click", () => go("replay"));

const theme = byId("theme");
const themeUse = /** @type {SVGUseElement} */ (theme.querySelector("use"));
const showTheme = () => {
    themeUse.setAttribute("href", `/shared/icons.svg#${window.consiliumTheme.current() === "dark" ? "sun" : "moon"}`);
};
theme.addEventListener("click", () => {
    window.consiliumTheme.toggle();
    showTheme();
});
showTheme();
look();
