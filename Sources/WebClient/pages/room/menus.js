// The menus of the room: what can be done with a tile, with a person, with layouts and with sharing.

import { listDevices } from "../shared/devices.js";

/** @typedef {import("./room-view.js").RoomView} RoomView */
/** @typedef {import("./scene.js").Tile} Tile */
/** @typedef {import("../shared/overlays.js").MenuItem} MenuItem */
/** @typedef {(MenuItem | string | null)[]} Menu */

/**
 * @param {RoomView} room
 * @param {Tile} tile
 * @param {HTMLElement} element
 * @returns {Menu}
 */
export function tileMenu(room, tile, element) {
    const { model } = room.call;
    const pinned = model.pinned.includes(tile.key);
    /** @type {Menu} */
    const menu = [
        { label: pinned ? "Take off the stage" : "Put on the stage", icon: pinned ? "unpin" : "pin", run: () => model.togglePin(tile.key) },
    ];
    if (tile.kind !== "person") {
        menu.push({ label: "Full screen", icon: "fullscreen", run: () => void element.requestFullscreen?.() });
        menu.push({ label: "Open in a window of its own", icon: "popout", run: () => room.popouts.open(tile) });
        if (window.screen.isExtended && window.getScreenDetails) {
            menu.push({ label: "Send to another screen", icon: "screen", run: () => void sendToScreen(room, tile) });
        }
    }
    if (tile.kind === "viewport") {
        if (model.hasFloor) {
            menu.push(null, {
                label: "Close for everybody", icon: "close", run: () => void room.call.perform("viewport.close", { viewport: tile.viewport }),
            });
        }
        return menu;
    }
    const person = model.state.participants[tile.participant];
    menu.push({
        label: tile.self ? "Show everything of yours" : `Show everything of ${person?.name ?? "this participant"}`, icon: "layout-side",
        run: () => {
            model.focused = tile.participant;
            model.setLayout("side");
        },
    });
    if (tile.kind === "stream" && model.may("spotlight")) {
        const spotlight = model.state.spotlight;
        const on = spotlight?.participant === tile.participant && spotlight.stream === tile.stream;
        menu.push({
            label: on ? "Stop showing to everybody" : "Show to everybody", icon: "spotlight",
            run: () =>
                void room.call.perform(
                    on ? "spotlight.clear" : "spotlight.set", on ? {} : { participant: tile.participant, stream: tile.stream },
                ),
        });
    }
    if (tile.self && tile.whole && room.call.media.local.has(tile.stream)) {
        menu.push({ label: "Stop sharing", icon: "screen-off", danger: true, run: () => room.call.stopSharing(tile.stream) });
    }
    if (!tile.self && tile.whole && model.may("mute")) {
        menu.push({
            label: "Switch this picture off", icon: "screen-off",
            run: () => void room.call.perform("participant.mute", { participant: tile.participant, stream: tile.stream }),
        });
    }
    const about = personMenu(room, tile.participant);
    return about.length > 0 ? [...menu, null, ...about] : menu;
}

/**
 * @param {RoomView} room
 * @param {Tile} tile
 */
async function sendToScreen(room, tile) {
    const screens = await room.popouts.screens();
    if (screens.length === 0) room.popouts.open(tile);
    // One window per other screen would be too many: the first that has none of ours yet.
    else room.popouts.openOn(tile, screens[room.call.model.poppedOut.size % screens.length] ?? null);
}

/**
 * @param {RoomView} room
 * @param {string} participant
 * @returns {MenuItem[]}
 */
export function personMenu(room, participant) {
    const { call } = room;
    const { model } = call;
    const person = model.state.participants[participant];
    if (!person) return [];
    const self = participant === model.self;
    /** @type {MenuItem[]} */
    const menu = [];
    const speaks = Object.values(person.streams).some((stream) => stream.kind === "audio" && !stream.muted);
    if (!self && speaks && model.may("mute")) {
        menu.push({ label: "Mute the microphone", icon: "mic-off", run: () => void call.perform("participant.mute", { participant }) });
    }
    const mayGive = model.hasFloor || model.may("giveFloor");
    if (!self && !person.device && mayGive && model.state.floor.holder !== participant) {
        menu.push({ label: "Give the floor", icon: "floor", run: () => void call.perform("floor.give", { participant }) });
    }
    if (!self && model.state.floor.holder === participant && model.may("giveFloor")) {
        menu.push({ label: "Take the floor back", icon: "floor", run: () => void call.perform("floor.take") });
    }
    if (person.hand && (self || model.may("giveFloor"))) {
        menu.push({ label: "Lower the hand", icon: "hand", run: () => void call.perform("hand.lower", self ? {} : { participant }) });
    }
    if (!self && model.may("remove")) {
        menu.push({
            label: "Remove from the session", icon: "remove", danger: true,
            run: () => void call.perform("participant.remove", { participant }),
        });
    }
    return menu;
}

/**
 * @param {RoomView} room
 * @returns {Menu}
 */
export function layoutMenu(room) {
    const { model } = room.call;
    /** @type {[import("./model.js").Layout, string, string][]} */
    const choices = [
        ["stage", "Stage and strip", "layout-stage"], ["grid", "Grid", "layout-grid"], ["side", "Everything of one participant", "layout-side"],
    ];
    /** @type {Menu} */
    const menu = choices.map(([layout, label, symbol]) => ({
        label, icon: symbol, checked: model.layout === layout, run: () => model.setLayout(layout),
    }));
    if (model.layout === "side") {
        menu.push(null, "Whose");
        for (const [participant, person] of Object.entries(model.state.participants)) {
            if (person.status === "waiting") continue;
            menu.push({
                label: participant === model.self ? "You" : person.name, checked: model.focused === participant,
                run: () => {
                    model.focused = participant;
                    model.changed();
                },
            });
        }
    }
    if (model.pinned.length > 0) {
        menu.push(null, {
            label: "Take everything off the stage", icon: "unpin",
            run: () => {
                model.pinned = [];
                model.changed();
            },
        });
    }
    return menu;
}

/**
 * @param {RoomView} room
 * @returns {Promise<Menu>}
 */
export async function shareMenu(room) {
    const { call } = room;
    const { cameras } = await listDevices();
    /** @type {Menu} */
    const menu = [{ label: call.screens.length > 0 ? "Share another screen or window" : "Share a screen or window", icon: "screen", run: () => void call.shareScreen() }];
    const inUse = new Set([...call.media.local.values()].map((local) => local.track?.getSettings().deviceId));
    const free = cameras.filter((camera) => camera.deviceId && !inUse.has(camera.deviceId));
    for (const camera of free.slice(0, 4)) {
        menu.push(null, camera.label || "Another camera");
        for (const [role, label] of [["document", "as document camera"], ["surgicalField", "as surgical field"], ["panorama", "as panorama of the room"]]) {
            if (role && label) menu.push({ label: `Send ${label}`, icon: "camera", run: () => void call.shareCamera(role, camera.deviceId) });
        }
    }
    if (call.screens.length > 0) {
        menu.push(null, "You share");
        for (const local of call.screens) {
            menu.push({ label: `Stop: ${local.label || local.stream}`, icon: "screen-off", danger: true, run: () => call.stopSharing(local.stream) });
        }
    }
    return menu;
}
