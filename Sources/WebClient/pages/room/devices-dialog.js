// Changes camera, microphone, loudspeaker and picture size during the session.

import { listDevices, qualities } from "../shared/devices.js";
import { h } from "../shared/dom.js";
import { openDialog } from "../shared/overlays.js";

/** @typedef {import("./room-view.js").RoomView} RoomView */

/** @param {RoomView} room */
export async function openDevicesDialog(room) {
    const { call } = room;
    const { cameras, microphones, speakers } = await listDevices();
    const camera = choose("Camera", cameras, call.media.local.get("camera")?.track?.getSettings().deviceId ?? call.choice.camera);
    const microphone = choose(
        "Microphone", microphones, call.media.local.get("microphone")?.track?.getSettings().deviceId ?? call.choice.microphone);
    const speaker = choose("Loudspeaker", speakers, call.choice.speaker);
    const quality = h(
        "select", { class: "select", id: "device-quality" },
        ...Object.entries(qualities).map(([value, { label }]) => h("option", { value, text: label, selected: value === (call.choice.quality ?? "standard") })),
    );
    const fields = [];
    if (call.model.may("publish")) fields.push(camera.field, h("div", { class: "field" }, h("label", { for: quality.id, text: "Picture" }), quality));
    if (call.model.may("speak")) fields.push(microphone.field);
    if ("setSinkId" in HTMLMediaElement.prototype) fields.push(speaker.field);
    openDialog(
        "Camera, microphone, loudspeaker",
        fields,
        [
            { label: "Cancel", className: "quiet" },
            {
                label: "Use these", className: "primary", focus: true,
                run: () =>
                    void call.changeDevices({
                        ...(camera.select.value ? { camera: camera.select.value } : {}),
                        ...(microphone.select.value ? { microphone: microphone.select.value } : {}),
                        ...(speaker.select.value ? { speaker: speaker.select.value } : {}),
                        quality: quality.value,
                    }),
            },
        ],
    );
}

/**
 * @param {string} label
 * @param {MediaDeviceInfo[]} devices
 * @param {string | undefined} chosen
 */
function choose(label, devices, chosen) {
    const select = h("select", { class: "select", id: `device-${label.toLowerCase()}` });
    for (const [index, device] of devices.entries()) {
        if (!device.deviceId) continue;
        select.append(h("option", { value: device.deviceId, text: device.label || `${label} ${index + 1}`, selected: device.deviceId === chosen }));
    }
    if (select.options.length === 0) {
        select.append(h("option", { value: "", text: devices.length > 0 ? "Chosen by the browser" : `No ${label.toLowerCase()} found` }));
        select.disabled = true;
    }
    return { select, field: h("div", { class: "field" }, h("label", { for: select.id, text: label }), select) };
}
