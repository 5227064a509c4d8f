// Times, rates and names as people read them.

/**
 * @param {number} seconds
 * @returns {string} 1:02:03 or 2:03
 */
export function clock(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    const hours = Math.floor(whole / 3600);
    const minutes = Math.floor(whole / 60) % 60;
    const rest = String(whole % 60).padStart(2, "0");
    return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/**
 * @param {number} bitsPerSecond
 * @returns {string}
 */
export function rate(bitsPerSecond) {
    if (!Number.isFinite(bitsPerSecond)) return "–";
    if (bitsPerSecond >= 1e6) return `${(bitsPerSecond / 1e6).toFixed(1)} Mbit/s`;
    return `${Math.round(bitsPerSecond / 1e3)} kbit/s`;
}

/**
 * Up to two letters for a round badge, without titles such as "Dr.".
 * @param {string} name
 * @returns {string}
 */
export function initials(name) {
    const words = name
        .replace(/[()[\],]/g, " ")
        .split(/\s+/)
        .filter((word) => word && !/^(dr|prof|mr|mrs|ms|med|pd|priv|doz)\.?$/i.test(word));
    const first = words[0]?.[0] ?? "?";
    const last = words.length > 1 ? words[words.length - 1]?.[0] ?? "" : "";
    return (first + last).toUpperCase();
}

/**
 * A steady hue (degrees) for a person, so that badge and pointer are recognised again.
 * @param {string} participant
 * @returns {number}
 */
export function hue(participant) {
    let hash = 2166136261;
    for (const character of participant) hash = Math.imul(hash ^ character.charCodeAt(0), 16777619);
    // Red is kept for recording and danger.
    return 40 + ((hash >>> 0) % 290);
}

/**
 * DICOM dates (20261124) as the reader's language writes them.
 * @param {string} date
 * @returns {string}
 */
export function dicomDate(date) {
    const match = /^(\d{4})-?(\d{2})-?(\d{2})$/.exec(date);
    if (!match) return date;
    const value = new Date(Number(match[1]), Number(match[2]) - 1, Number(match[3]));
    return value.toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });
}

/**
 * DICOM person names (Family^Given^Middle^Prefix^Suffix) in reading order.
 * @param {string} name
 * @returns {string}
 */
export function personName(name) {
    const [family = "", given = "", middle = "", prefix = "", suffix = ""] = (name.split("=")[0] ?? "").split("^");
    return [prefix, given, middle, family, suffix].filter(Boolean).join(" ") || name;
}
