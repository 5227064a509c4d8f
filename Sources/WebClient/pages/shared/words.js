// Words for roles, kinds of room, streams and refusals, in one place.

/** @type {Record<string, string>} */
const roles = {
    chair: "Chair", expert: "Expert", presenter: "Presenter", attendee: "Attendee", observer: "Observer", device: "Device",
};

/** @type {Record<string, string>} */
const kinds = { consultation: "Consultation", mdt: "MDT board", broadcast: "Surgery broadcast", lesson: "Lesson" };

/** @type {Record<string, string>} */
const streamRoles = {
    camera: "Camera",
    document: "Screen",
    imaging: "Imaging",
    surgicalField: "Surgical field",
    panorama: "Panorama",
    vitals: "Vitals",
    audio: "Sound",
};

/** @param {string} role */
export const roleName = (role) => roles[role] ?? role;
/** @param {string} kind */
export const kindName = (kind) => kinds[kind] ?? kind;
/** @param {string} role */
export const streamRoleName = (role) => streamRoles[role] ?? role;

/**
 * Why the server will not let us in, in words for the person.
 * @param {string} code
 * @param {string} message
 * @returns {{ title: string, help: string }}
 */
export function explainRefusal(code, message) {
    if (/expired/.test(code)) {
        return { title: "This invitation has expired", help: "Ask the person who invited you for a new link." };
    }
    if (/ended/.test(code)) {
        return { title: "This session has ended", help: "If it was recorded, the replay page has it." };
    }
    if (/full|limit/.test(code)) {
        return { title: "The room is full", help: message || "Try again when somebody has left." };
    }
    if (/token|auth|forbidden|foreign|denied|not_yet/.test(code)) {
        return {
            title: "This invitation is not valid here",
            help: message || "The link may be incomplete or for another room. Ask for a new one.",
        };
    }
    return { title: "The server did not let you in", help: message || "Ask the person who invited you." };
}
