// Menus and dialogs that hold the focus, close on Escape and give the focus back.

import { h, icon, iconButton } from "./dom.js";

/**
 * @typedef {object} MenuItem
 * @property {string} label
 * @property {string} [icon]
 * @property {boolean} [checked] makes it a choice
 * @property {boolean} [danger]
 * @property {boolean} [disabled]
 * @property {string} [shortcut]
 * @property {() => void} run
 */

/** @type {(() => void) | null} */
let closeOpenMenu = null;

/**
 * Opens a menu beside an element. Strings are headings, null is a line.
 * @param {HTMLElement} anchor
 * @param {string} label
 * @param {(MenuItem | string | null)[]} items
 */
export function openMenu(anchor, label, items) {
    const again = anchor.getAttribute("aria-expanded") === "true";
    closeOpenMenu?.();
    if (again) return;

    const menu = h("div", { class: "menu scroll", role: "menu", "aria-label": label });
    for (const item of items) {
        if (item === null) menu.append(h("hr", { role: "separator" }));
        else if (typeof item === "string") menu.append(h("h3", { role: "presentation", text: item }));
        else menu.append(menuButton(item, () => close(true)));
    }
    document.body.append(menu);
    place(menu, anchor);
    anchor.setAttribute("aria-expanded", "true");

    const buttons = /** @type {HTMLButtonElement[]} */ ([...menu.querySelectorAll("button:not(:disabled)")]);
    /** @param {boolean} giveBack */
    const close = (giveBack) => {
        if (closeOpenMenu !== closeThis) return;
        closeOpenMenu = null;
        menu.remove();
        anchor.setAttribute("aria-expanded", "false");
        document.removeEventListener("pointerdown", outside, true);
        window.removeEventListener("resize", closeThis);
        if (giveBack) anchor.focus();
    };
    const closeThis = () => close(false);
    closeOpenMenu = closeThis;
    /** @param {PointerEvent} event */
    const outside = (event) => {
        const target = /** @type {Node} */ (event.target);
        if (!menu.contains(target) && !anchor.contains(target)) close(false);
    };
    document.addEventListener("pointerdown", outside, true);
    window.addEventListener("resize", closeThis);
    menu.addEventListener("keydown", (event) => {
        const index = buttons.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
        /** @type {Record<string, number>} */
        const moves = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: buttons.length - 1 };
        if (event.key === "Escape" || event.key === "Tab") {
            if (event.key === "Escape") event.preventDefault();
            close(true);
        } else if (event.key in moves) {
            event.preventDefault();
            buttons.at((moves[event.key] ?? 0) % buttons.length)?.focus();
        }
        event.stopPropagation();
    });
    buttons[0]?.focus();
}

/**
 * @param {MenuItem} item
 * @param {() => void} close
 */
function menuButton(item, close) {
    const button = h(
        "button",
        {
            type: "button", class: item.danger ? "danger" : "", disabled: item.disabled ?? false,
            role: item.checked === undefined ? "menuitem" : "menuitemradio",
            onclick: () => {
                close();
                item.run();
            },
        },
        item.icon ? icon(item.icon) : null,
        h("span", { text: item.label }),
        item.shortcut ? h("kbd", { text: item.shortcut }) : null,
    );
    if (item.checked !== undefined) button.setAttribute("aria-checked", String(item.checked));
    return button;
}

/**
 * @param {HTMLElement} menu
 * @param {HTMLElement} anchor
 */
function place(menu, anchor) {
    const edge = 8;
    const around = anchor.getBoundingClientRect();
    const size = menu.getBoundingClientRect();
    let top = around.bottom + 6;
    if (top + size.height > innerHeight - edge) top = around.top - size.height - 6;
    let left = around.left + around.width / 2 - size.width / 2;
    left = Math.min(Math.max(edge, left), innerWidth - size.width - edge);
    menu.style.setProperty("left", `${left}px`);
    menu.style.setProperty("top", `${Math.max(edge, top)}px`);
}

/**
 * Opens a dialog; it closes on Escape, its cross and its footer's buttons.
 * @param {string} title
 * @param {Node[]} body
 * @param {{ label: string, className?: string, run?: () => void, focus?: boolean }[]} [actions]
 * @returns {HTMLDialogElement}
 */
export function openDialog(title, body, actions = []) {
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    const heading = h("h2", { id: `dialog-${Math.random().toString(36).slice(2)}`, text: title });
    const dialog = h("dialog", { class: "dialog", "aria-labelledby": heading.id });
    dialog.append(
        h("header", {}, heading, iconButton("close", "Close", () => dialog.close())),
        h("div", { class: "body" }, ...body),
    );
    if (actions.length > 0) {
        const footer = h("footer");
        for (const action of actions) {
            const button = h("button", {
                type: "button", class: `button ${action.className ?? ""}`, text: action.label,
                onclick: () => {
                    dialog.close();
                    action.run?.();
                },
            });
            button.autofocus = action.focus ?? false;
            footer.append(button);
        }
        dialog.append(footer);
    }
    dialog.addEventListener("close", () => {
        dialog.remove();
        before?.focus();
    });
    dialog.addEventListener("click", (event) => {
        if (event.target === dialog) dialog.close();
    });
    document.body.append(dialog);
    dialog.showModal();
    return dialog;
}
