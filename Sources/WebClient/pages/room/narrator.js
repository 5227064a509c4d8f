// Tells people about events they might miss: as a message on the screen, or for screen readers only.

import { announce, toast } from "./announce.js";

/** @typedef {import("./room-view.js").RoomView} RoomView */
/** @typedef {import("../shared/consilium").RoomEvent} RoomEvent */

/**
 * @param {RoomView} room
 * @param {RoomEvent} event
 */
export function narrate(room, event) {
    const { call } = room;
    const { model } = call;
    const participant = event["participant"];
    const own = event.by === model.self;
    const name = model.name(participant);
    switch (event.event) {
        case "participant.waiting":
            if (!model.may("admit")) break;
            toast(`${event["name"]} waits to be let in.`, {
                icon: "door", action: { label: "Admit", run: () => void call.perform("lobby.admit", { participant }) },
            });
            break;
        case "participant.joined":
            if (participant !== model.self) announce(`${event["name"]} joined`);
            break;
        case "participant.disconnected":
            announce(`${name} lost the connection`);
            break;
        case "hand.raised":
            if (participant === model.self) announce("Your hand is raised");
            else if (model.hasFloor || model.may("giveFloor")) toast(`${name} raised a hand.`, { icon: "hand" });
            else announce(`${name} raised a hand`);
            break;
        case "hand.lowered":
            if (participant === model.self) announce("Your hand is lowered");
            break;
        case "floor.changed":
            if (event["holder"] === model.self && own) announce("You have the floor");
            else if (event["holder"] === model.self) toast(`${model.name(event.by)} gave you the floor. The images follow you.`, { icon: "floor" });
            else if (event["holder"]) announce(`${model.name(event["holder"])} has the floor`);
            else announce("Nobody has the floor");
            break;
        case "chat.message":
            if (participant === model.self || model.panel === "chat") {
                announce(`${name}: ${event["text"]}`);
                break;
            }
            model.unreadChat += 1;
            toast(`${name}: ${shorten(event["text"])}`, {
                icon: "chat", action: { label: "Open", run: () => model.panel !== "chat" && model.togglePanel("chat") },
            });
            break;
        case "stream.published":
            if (event["kind"] === "video" && event["role"] !== "camera" && participant !== model.self) announce(`${name} shares ${event["label"] || "a picture"}`);
            break;
        case "recording.started":
            // The banner is seen by everybody; this is for those who do not see.
            announce(own ? "The recording has started" : `${model.name(event.by)} started recording`, { now: true });
            break;
        case "recording.stopped":
            toast("The recording has stopped.", { icon: "stop" });
            break;
        case "consent.given":
            if (model.may("record") && event["given"] === false) toast(`${name} does not agree to be recorded.`, { kind: "warning" });
            break;
        case "spotlight.changed":
            if (participant) announce(`${name} is shown to everybody`);
            break;
        case "viewport.opened":
            announce(`${model.name(event.by)} opened an image series`);
            break;
        default:
            break;
    }
}

/** @param {string} text */
function shorten(text) {
    return text.length > 90 ? `${text.slice(0, 88)} …` : text;
}
