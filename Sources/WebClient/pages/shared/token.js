// Reads an invitation: the address's fragment and the token's claims. The server verifies the token; here it is only shown.

/**
 * @typedef {{ room?: string, sub?: string, name?: string, role?: string, exp?: number, kind?: string, title?: string }} Claims
 */

/**
 * The claims of a JWT without checking its signature, or null when it is not one.
 * @param {string} token
 * @returns {Claims | null}
 */
export function readClaims(token) {
    const parts = token.split(".");
    if (parts.length !== 3 || !parts[1]) return null;
    try {
        const base64 = parts[1].replace(/-/g, "+").replace(/_/g, "/");
        const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
        const claims = JSON.parse(new TextDecoder().decode(bytes));
        return claims && typeof claims === "object" ? claims : null;
    } catch {
        return null;
    }
}

const storageKey = "consilium.invitation";

/**
 * The room and token this page was opened with. The token leaves the address bar (and so the browser's history, which on a
 * ward belongs to everybody) and stays in this tab's own storage, so that reloading works.
 * @returns {{ room: string, token: string }}
 */
export function takeInvitation() {
    const fragment = new URLSearchParams(location.hash.slice(1));
    let room = fragment.get("room") ?? "";
    let token = fragment.get("token") ?? "";
    try {
        if (token) {
            sessionStorage.setItem(storageKey, JSON.stringify({ room, token }));
        } else {
            const kept = JSON.parse(sessionStorage.getItem(storageKey) ?? "{}");
            if (!room || room === kept.room) {
                room = kept.room ?? room;
                token = kept.token ?? "";
            }
        }
        if (fragment.has("token")) {
            fragment.delete("token");
            const rest = fragment.toString();
            history.replaceState(null, "", location.pathname + location.search + (rest ? `#${rest}` : ""));
        }
    } catch {
        // Without session storage the token has to stay in the address.
    }
    if (!room) {
        const claimed = readClaims(token)?.room;
        if (claimed && claimed !== "*") room = claimed;
    }
    return { room, token };
}

/**
 * Finds a token (and a room) in whatever was pasted: a whole link, a fragment, or the bare token.
 * @param {string} text
 * @returns {{ room: string, token: string, replay: boolean } | null}
 */
export function readPasted(text) {
    const trimmed = text.trim();
    if (!trimmed) return null;
    const hash = trimmed.indexOf("#");
    const fragment = hash >= 0 ? trimmed.slice(hash + 1) : trimmed.includes("token=") ? trimmed : "";
    const parameters = new URLSearchParams(fragment);
    const token = parameters.get("token") ?? (fragment ? "" : trimmed);
    const claims = readClaims(token);
    if (!claims) return null;
    const claimed = claims.room && claims.room !== "*" ? claims.room : "";
    return { token, room: parameters.get("room") ?? claimed, replay: /replay\.html/.test(trimmed) };
}
