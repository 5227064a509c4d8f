// The buttons on a viewport: tools, presets, turning and fitting, and a slider through the series that shows what is loaded.

import { element } from "./overlay.js";

/** @typedef {import("./gestures.js").Tool} Tool */

/** @type {[Tool, string, string, string][]} */
const tools = [
    ["scroll", "Scroll", "S", "M12 3v18M12 3l-4 4M12 3l4 4M12 21l-4-4M12 21l4-4"],
    ["window", "Brightness and contrast", "W", "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16"],
    ["pan", "Pan", "P", "M12 3v18M3 12h18M12 3l-3 3M12 3l3 3M12 21l-3-3M12 21l3-3M3 12l3-3M3 12l3 3M21 12l-3-3M21 12l-3 3"],
    ["zoom", "Zoom", "Z", "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5L21 21M10.5 7.5v6M7.5 10.5h6"],
];

/** @type {[string, string, string, string][]} */
const commands = [
    ["fit", "Fit to window", "F", "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5"],
    ["invert", "Invert", "I", "M4 4h16v16H4zM12 4v16M4 20L20 4"],
    ["rotate", "Rotate by 90 degrees", "T", "M19 12a7 7 0 1 1-3-5.7M19 3v5h-5"],
    ["flip", "Flip left and right", "H", "M12 3v18M9 7L3 17h6zM15 7l6 10h-6z"],
];

/**
 * @typedef {object} ControlActions
 * @property {(tool: Tool) => void} tool
 * @property {(command: string) => void} command
 * @property {(index: number) => void} go
 * @property {() => void} settle
 */

export class Controls {
    /** @param {HTMLElement} root @param {ControlActions} actions */
    constructor(root, actions) {
        this.bar = element("div", "viewport-controls", { role: "toolbar", "aria-label": "Image tools" });
        /** @type {Map<string, HTMLElement>} */
        this.toolButtons = new Map();
        for (const [tool, label, key, path] of tools) {
            const button = iconButton(label, key, path);
            button.setAttribute("aria-pressed", "false");
            button.addEventListener("click", () => actions.tool(tool));
            this.toolButtons.set(tool, button);
            this.bar.append(button);
        }
        this.presets = /** @type {HTMLSelectElement} */ (
            element("select", "viewport-presets", { "aria-label": "Window preset", title: "Window preset (1 to 9)" })
        );
        this.presets.addEventListener("change", () => {
            actions.command(`preset${this.presets.selectedIndex}`);
            this.presets.selectedIndex = 0;
            actions.settle();
        });
        this.bar.append(this.presets);
        for (const [command, label, key, path] of commands) {
            const button = iconButton(label, key, path);
            button.addEventListener("click", () => {
                actions.command(command);
                actions.settle();
            });
            this.bar.append(button);
        }

        this.track = element("div", "viewport-track");
        this.loaded = /** @type {HTMLCanvasElement} */ (element("canvas", "viewport-loaded", { "aria-hidden": "true" }));
        this.slider = /** @type {HTMLInputElement} */ (
            element("input", "viewport-slider", { type: "range", min: "1", max: "1", step: "1", "aria-label": "Image", "aria-orientation": "vertical" })
        );
        this.slider.addEventListener("input", () => actions.go(Number(this.slider.value) - 1));
        this.slider.addEventListener("change", () => actions.settle());
        this.track.append(this.loaded, this.slider);
        root.append(this.bar, this.track);
    }

    /** @param {Tool} tool */
    showTool(tool) {
        this.toolButtons.forEach((button, name) => button.setAttribute("aria-pressed", String(name === tool)));
    }

    /** @param {{ name: string }[]} presets */
    showPresets(presets) {
        const options = ["Window", ...presets.map(({ name }, index) => `${index + 1} ${name}`)].map((text) => {
            const option = document.createElement("option");
            option.textContent = text;
            return option;
        });
        options[0].hidden = true;
        this.presets.replaceChildren(...options);
        this.presets.hidden = presets.length === 0;
    }

    /** @param {number} index @param {number} count */
    showPosition(index, count) {
        this.track.hidden = count < 2;
        const max = String(Math.max(1, count));
        if (this.slider.max !== max) this.slider.max = max;
        const value = String(index + 1);
        if (this.slider.value !== value) this.slider.value = value;
        this.slider.setAttribute("aria-valuetext", `Image ${index + 1} of ${count}`);
    }

    /**
     * One row per image: bright when it is here.
     * @param {number} count @param {(index: number) => boolean} has
     */
    showLoaded(count, has) {
        const context = this.loaded.getContext("2d");
        if (!context || count === 0) return;
        if (this.loaded.height !== count) {
            this.loaded.width = 1;
            this.loaded.height = count;
        }
        const row = context.createImageData(1, count);
        for (let index = 0; index < count; index += 1) {
            row.data.set([127, 210, 196, has(index) ? 230 : 40], 4 * index);
        }
        context.putImageData(row, 0, 0);
    }
}

/** @param {string} label @param {string} key @param {string} path @returns {HTMLElement} */
function iconButton(label, key, path) {
    const button = element("button", "viewport-button", {
        type: "button", "aria-label": label, title: `${label} (${key})`, "aria-keyshortcuts": key,
    });
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    line.setAttribute("d", path);
    svg.append(line);
    button.append(svg);
    return button;
}
