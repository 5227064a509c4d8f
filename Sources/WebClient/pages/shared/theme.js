// Puts the chosen colours on the page before its first paint, so that a dark room is never flashed white. Loaded as a plain script in the head.

(() => {
    const key = "consilium.theme";
    const root = document.documentElement;
    const prefersLight = window.matchMedia("(prefers-color-scheme: light)");

    /** @returns {string} "dark", "light" or "auto" */
    function choice() {
        try {
            return localStorage.getItem(key) ?? "auto";
        } catch {
            return "auto";
        }
    }

    /** @returns {"dark" | "light"} */
    function current() {
        const chosen = choice();
        if (chosen === "dark" || chosen === "light") return chosen;
        return prefersLight.matches ? "light" : "dark";
    }

    function paint() {
        root.dataset.theme = current();
    }

    window.consiliumTheme = {
        current,
        choice,
        toggle() {
            const next = current() === "dark" ? "light" : "dark";
            try {
                localStorage.setItem(key, next);
            } catch {
                // Storage is refused in some hospital profiles; the choice then lasts as long as the page.
            }
            root.dataset.theme = next;
            return next;
        },
    };

    prefersLight.addEventListener("change", paint);
    window.addEventListener("storage", (event) => {
        if (event.key === key) paint();
    });
    paint();
})();
