// The address of a moment: #recording=<id>&t=<seconds>.

/** @returns {{ recording: string, t: number }} */
export function readAddress() {
    const fragment = new URLSearchParams(location.hash.slice(1));
    return { recording: fragment.get("recording") ?? "", t: seconds(fragment.get("t") ?? "") };
}

/**
 * 75, 75.5, 1:15, 1:02:03 or 1h2m3s; anything else is the beginning.
 * @param {string} text
 */
export function seconds(text) {
    if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
    const clock = /^(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)$/.exec(text) ?? /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?$/.exec(text);
    return clock ? 3600 * Number(clock[1] ?? 0) + 60 * Number(clock[2] ?? 0) + Number(clock[3] ?? 0) : 0;
}

/** @param {string} recording @param {number} t seconds */
export function address(recording, t) {
    const fragment = new URLSearchParams({ recording });
    if (t > 0) fragment.set("t", String(Math.round(t * 10) / 10));
    return `#${fragment}`;
}
