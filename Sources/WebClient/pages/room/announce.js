// Says what happened: short messages on the screen, and the same for screen readers.

import { h, icon, iconButton } from "../shared/dom.js";

const shownFor = 6_000;
const most = 3;

const toasts = /** @type {HTMLElement} */ (document.getElementById("toasts"));
const polite = /** @type {HTMLElement} */ (document.getElementById("announce-polite"));
const urgent = /** @type {HTMLElement} */ (document.getElementById("announce-urgent"));

/**
 * Speaks to screen readers only.
 * @param {string} text
 * @param {{ now?: boolean }} [options]
 */
export function announce(text, options = {}) {
    const region = options.now ? urgent : polite;
    // A paragraph of its own, so that the same words said twice are read twice.
    const line = h("p", { text });
    region.append(line);
    window.setTimeout(() => line.remove(), shownFor);
}

/**
 * Shows a message for some seconds, and speaks it.
 * @param {string} text
 * @param {{ icon?: string, kind?: "info" | "warning", action?: { label: string, run: () => void }, stay?: boolean }} [options]
 * @returns {() => void} takes it away
 */
export function toast(text, options = {}) {
    const { icon: symbol = "info", kind = "info", action, stay = false } = options;
    announce(text, { now: kind === "warning" });
    for (const same of toasts.querySelectorAll(".toast")) if (same.getAttribute("data-text") === text) same.remove();
    const element = h("div", { class: `toast ${kind}`, data: { text } }, icon(kind === "warning" ? "warning" : symbol), h("span", { text }));
    const remove = () => element.remove();
    if (action) {
        element.append(
            h("button", {
                type: "button", class: "button compact", text: action.label,
                onclick: () => {
                    remove();
                    action.run();
                },
            }),
        );
    }
    element.append(iconButton("close", "Dismiss", remove));
    toasts.append(element);
    while (toasts.childElementCount > most) toasts.firstElementChild?.remove();
    if (!stay) {
        let timer = window.setTimeout(remove, shownFor);
        element.addEventListener("pointerenter", () => window.clearTimeout(timer));
        element.addEventListener("pointerleave", () => {
            timer = window.setTimeout(remove, shownFor / 2);
        });
    }
    return remove;
}

/**
 * Shows a failed request.
 * @param {unknown} error
 */
export function complain(error) {
    const message = error instanceof Error ? error.message : String(error);
    toast(message.charAt(0).toUpperCase() + message.slice(1), { kind: "warning" });
}
