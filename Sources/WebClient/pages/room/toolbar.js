// The bar of buttons at the foot of the room; what does not fit into it goes to the "More" menu.

import { h, icon, setAttribute, setIcon, setText } from "../shared/dom.js";
import { openMenu } from "../shared/overlays.js";
import { actions } from "./actions.js";

/** @typedef {import("./room-view.js").RoomView} RoomView */
/** @typedef {import("./actions.js").Action} Action */
/** @typedef {{ action: Action, element: HTMLButtonElement, picture: SVGSVGElement, words: HTMLElement, badge: HTMLElement }} BarButton */

export class Toolbar {
    /** @type {BarButton[]} */
    #buttons = [];

    /** @param {RoomView} room */
    constructor(room) {
        this.room = room;
        this.element = h("div", { class: "toolbar", role: "toolbar", "aria-label": "Room controls" });
        let group = "";
        for (const action of actions) {
            if (action.inMenuOnly) continue;
            if (group && group !== action.group) this.element.append(h("span", { class: "toolbar-gap", "aria-hidden": "true" }));
            group = action.group;
            const button = this.#make(action);
            this.#buttons.push(button);
            this.element.append(button.element);
        }
        this.more = this.#plain("more", "More", () => this.#openMore());
        this.more.setAttribute("aria-haspopup", "menu");
        this.leave = this.#plain("leave", "Leave", () => room.askToLeave());
        this.leave.classList.add("leave");
        this.element.append(this.more, h("span", { class: "toolbar-gap", "aria-hidden": "true" }), this.leave);
        this.element.addEventListener("keydown", (event) => this.#move(event));
        this.observer = new ResizeObserver(() => this.#fit());
    }

    /** Begins to watch its width; called once it is in the page. */
    attached() {
        if (this.element.parentElement) this.observer.observe(this.element.parentElement);
    }

    /** @param {Action} action @returns {BarButton} */
    #make(action) {
        const picture = icon(action.icon(this.room));
        const words = h("span", { class: "tool-words", text: action.short ?? "" });
        const badge = h("span", { class: "badge", hidden: true });
        const element = h(
            "button", { type: "button", class: "tool", data: { action: action.id }, onclick: () => action.run(this.room, element) },
            h("span", { class: "tool-face" }, picture, badge), words,
        );
        if (action.popup) {
            element.setAttribute("aria-haspopup", "menu");
            element.setAttribute("aria-expanded", "false");
        }
        return { action, element, picture, words, badge };
    }

    /**
     * @param {string} symbol
     * @param {string} label
     * @param {() => void} onclick
     */
    #plain(symbol, label, onclick) {
        return h(
            "button", { type: "button", class: "tool", data: { action: symbol }, "aria-label": label, title: label, onclick },
            h("span", { class: "tool-face" }, icon(symbol)), h("span", { class: "tool-words", text: label }),
        );
    }

    render() {
        for (const { action, element, picture, badge } of this.#buttons) {
            const visible = action.visible?.(this.room) ?? true;
            element.classList.toggle("unavailable", !visible);
            if (!visible) continue;
            const label = action.label(this.room);
            setAttribute(element, "aria-label", label);
            element.title = action.key ? `${label} (${action.key.toUpperCase()})` : label;
            setIcon(picture, action.icon(this.room));
            if (action.pressed) setAttribute(element, "aria-pressed", String(action.pressed(this.room)));
            element.classList.toggle("alert", action.alert?.(this.room) ?? false);
            const count = action.badge?.(this.room) ?? 0;
            badge.hidden = count === 0;
            setText(badge, count > 99 ? "99+" : String(count));
        }
        this.element.classList.toggle("recording", Boolean(this.room.call.model.state.recording));
        this.#fit();
    }

    /** Hides the least needed buttons until the rest fits. */
    #fit() {
        const available = this.element.parentElement?.clientWidth ?? 0;
        if (available === 0) return;
        const visible = this.#buttons.filter(({ element }) => !element.classList.contains("unavailable"));
        for (const { element } of visible) element.classList.remove("folded");
        const byNeed = [...visible].sort((a, b) => b.action.rank - a.action.rank);
        for (const { element } of byNeed) {
            if (this.element.scrollWidth <= available) break;
            element.classList.add("folded");
        }
    }

    #openMore() {
        /** @type {(import("../shared/overlays.js").MenuItem | null)[]} */
        const items = [];
        const folded = this.#buttons.filter(({ element }) => element.classList.contains("folded")).map(({ action }) => action);
        const menuOnly = actions.filter((action) => action.inMenuOnly);
        for (const list of [folded, menuOnly]) {
            if (items.length > 0) items.push(null);
            for (const action of list) {
                if (!(action.visible?.(this.room) ?? true)) continue;
                items.push({
                    label: action.label(this.room), icon: action.icon(this.room), shortcut: action.key?.toUpperCase(),
                    run: () => action.run(this.room, action.popup ? this.more : null),
                });
            }
        }
        openMenu(this.more, "More", items);
    }

    /**
     * Arrow keys walk along the bar, as toolbars do.
     * @param {KeyboardEvent} event
     */
    #move(event) {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const buttons = /** @type {HTMLElement[]} */ ([...this.element.querySelectorAll(".tool")]).filter((button) => button.offsetParent);
        const index = buttons.indexOf(/** @type {HTMLElement} */ (document.activeElement));
        if (index < 0) return;
        event.preventDefault();
        buttons.at((index + step) % buttons.length)?.focus();
    }

    destroy() {
        this.observer.disconnect();
    }
}
