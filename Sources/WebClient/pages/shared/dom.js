// Small helpers to make and update elements; the pages use these instead of a framework.

/**
 * Makes an element. Properties that begin with "on" are listeners; `class`, `text`, `data` and `aria-*` do what they say;
 * everything else is set as a property when the element has it and as an attribute otherwise.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
        if (value === undefined || value === null) continue;
        if (name === "class") element.className = value;
        else if (name === "text") element.textContent = value;
        else if (name === "data") Object.assign(element.dataset, value);
        else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
        else if (name in element && !name.startsWith("aria")) /** @type {any} */ (element)[name] = value;
        else element.setAttribute(name, String(value));
    }
    for (const child of children) {
        if (child !== null && child !== undefined && child !== false) element.append(child);
    }
    return element;
}

const svgNamespace = "http://www.w3.org/2000/svg";

/**
 * The symbols live in this document, not behind a link, so that the icon that says "no network" is there without one.
 */
async function loadIcons() {
    const answer = await fetch(new URL("./icons.svg", import.meta.url));
    const sprite = new DOMParser().parseFromString(await answer.text(), "image/svg+xml").documentElement;
    for (const symbol of sprite.querySelectorAll("symbol")) symbol.id = `icon-${symbol.id}`;
    sprite.setAttribute("hidden", "");
    sprite.setAttribute("aria-hidden", "true");
    document.body.prepend(document.importNode(sprite, true));
}

loadIcons().catch((error) => console.warn("the icons did not load", error));

/**
 * One symbol of the sprite, hidden from screen readers: the words beside it, or the button's label, carry the meaning.
 * @param {string} name
 * @returns {SVGSVGElement}
 */
export function icon(name) {
    const element = document.createElementNS(svgNamespace, "svg");
    element.setAttribute("class", "icon");
    element.setAttribute("aria-hidden", "true");
    element.setAttribute("focusable", "false");
    const use = document.createElementNS(svgNamespace, "use");
    use.setAttribute("href", `#icon-${name}`);
    element.append(use);
    return element;
}

/**
 * Changes an icon in place.
 * @param {SVGSVGElement} element
 * @param {string} name
 */
export function setIcon(element, name) {
    const href = `#icon-${name}`;
    const use = element.firstElementChild;
    if (use && use.getAttribute("href") !== href) use.setAttribute("href", href);
}

/**
 * A button that shows an icon only; the label is its name for screen readers and its tooltip.
 * @param {string} name
 * @param {string} label
 * @param {(event: MouseEvent) => void} onclick
 * @param {string} [className]
 * @returns {HTMLButtonElement}
 */
export function iconButton(name, label, onclick, className = "") {
    return h(
        "button",
        { type: "button", class: `icon-button ${className}`.trim(), title: label, "aria-label": label, onclick },
        icon(name),
    );
}

/**
 * Writes text only when it differs, so that screen readers and the layout are left alone.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
    if (element.textContent !== text) element.textContent = text;
}

/**
 * Sets an attribute, or removes it for null, only when that changes something.
 * @param {Element} element
 * @param {string} name
 * @param {string | null} value
 */
export function setAttribute(element, name, value) {
    if (value === null) {
        if (element.hasAttribute(name)) element.removeAttribute(name);
    } else if (element.getAttribute(name) !== value) {
        element.setAttribute(name, value);
    }
}

/**
 * Keeps a container's children in step with a list: makes what is new, updates what stays, removes what has gone.
 * Elements stay in place when the order did not change, so focus and playing video survive.
 * @template Item
 * @template {HTMLElement} Node
 */
export class KeyedList {
    /** @type {Map<string, Node>} */
    #nodes = new Map();

    /**
     * @param {HTMLElement} container
     * @param {{ key: (item: Item) => string, create: (item: Item) => Node, update: (node: Node, item: Item) => void,
     *     remove?: (node: Node) => void, keepOrder?: boolean }} rules
     */
    constructor(container, rules) {
        this.container = container;
        this.rules = rules;
    }

    /** @param {Item[]} items */
    render(items) {
        const { key, create, update, remove, keepOrder = true } = this.rules;
        const wanted = new Set(items.map(key));
        for (const [name, node] of this.#nodes) {
            if (wanted.has(name)) continue;
            this.#nodes.delete(name);
            remove?.(node);
            node.remove();
        }
        let place = /** @type {Element | null} */ (this.container.firstElementChild);
        for (const item of items) {
            const name = key(item);
            let node = this.#nodes.get(name);
            if (!node) {
                node = create(item);
                this.#nodes.set(name, node);
                this.container.insertBefore(node, keepOrder ? place : null);
            } else if (keepOrder && node !== place) {
                this.container.insertBefore(node, place);
            }
            if (keepOrder) place = node.nextElementSibling;
            update(node, item);
        }
    }

    /**
     * @param {string} key
     * @returns {Node | undefined}
     */
    get(key) {
        return this.#nodes.get(key);
    }
}
