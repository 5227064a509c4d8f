// Everything a person can do in the room, once: the toolbar, the "More" menu, the keys and the help all come from this list.

/** @typedef {import("./room-view.js").RoomView} RoomView */

/**
 * @typedef {object} Action
 * @property {string} id
 * @property {"media" | "room" | "panel" | "view" | "end"} group
 * @property {(room: RoomView) => string} label
 * @property {(room: RoomView) => string} icon
 * @property {string} [short] words under the button
 * @property {string} [key]
 * @property {(room: RoomView) => boolean} [visible]
 * @property {(room: RoomView) => boolean} [pressed] makes it a switch
 * @property {(room: RoomView) => boolean} [alert] shown in a warning colour
 * @property {(room: RoomView) => number} [badge]
 * @property {boolean} [inMenuOnly]
 * @property {number} rank the smaller, the longer it stays in the bar when there is little room
 * @property {string} [popup] opens a menu of this name
 * @property {(room: RoomView, button: HTMLElement | null) => void} run
 */

/** @type {Action[]} */
export const actions = [
    {
        id: "microphone", group: "media", short: "Microphone", key: "m", rank: 0,
        label: ({ call }) => (call.microphoneOn ? "Turn the microphone off" : "Turn the microphone on"),
        icon: ({ call }) => (call.microphoneOn ? "mic" : "mic-off"),
        visible: ({ call }) => call.model.may("speak"),
        pressed: ({ call }) => call.microphoneOn,
        alert: ({ call }) => !call.microphoneOn,
        run: ({ call }) => void call.setMicrophone(!call.microphoneOn),
    },
    {
        id: "camera", group: "media", short: "Camera", key: "v", rank: 1,
        label: ({ call }) => (call.cameraOn ? "Turn the camera off" : "Turn the camera on"),
        icon: ({ call }) => (call.cameraOn ? "camera" : "camera-off"),
        visible: ({ call }) => call.model.may("publish"),
        pressed: ({ call }) => call.cameraOn,
        alert: ({ call }) => !call.cameraOn,
        run: ({ call }) => void call.setCamera(!call.cameraOn),
    },
    {
        id: "share", group: "media", short: "Share", key: "s", rank: 5, popup: "share",
        label: ({ call }) => (call.screens.length > 0 ? "Shared screens and cameras" : "Share a screen or another camera"),
        icon: () => "screen",
        visible: ({ call }) => call.model.may("publish"),
        badge: ({ call }) => call.screens.length,
        run: (room, button) => (button ? room.openShareMenu(button) : void room.call.shareScreen()),
    },
    {
        id: "hand", group: "room", short: "Hand", key: "h", rank: 2,
        label: ({ call }) => (call.model.me?.hand ? "Lower your hand" : "Raise your hand"),
        icon: () => "hand",
        visible: ({ call }) => call.model.may("raiseHand"),
        pressed: ({ call }) => call.model.me?.hand ?? false,
        run: ({ call }) => void call.perform(call.model.me?.hand ? "hand.lower" : "hand.raise"),
    },
    {
        id: "floor", group: "room", short: "Floor", key: "f", rank: 8,
        label: ({ call }) => (call.model.hasFloor ? "Release the floor" : "Take the floor to steer the images"),
        icon: () => "floor",
        visible: ({ call }) => call.model.may("steer"),
        pressed: ({ call }) => call.model.hasFloor,
        run: ({ call }) => void call.perform(call.model.hasFloor ? "floor.release" : "floor.take"),
    },
    {
        id: "imaging", group: "panel", short: "Images", key: "i", rank: 6,
        label: () => "Images",
        icon: () => "imaging",
        visible: ({ call }) => call.model.may("steer"),
        pressed: ({ call }) => call.model.panel === "imaging",
        run: ({ call }) => call.model.togglePanel("imaging"),
    },
    {
        id: "chat", group: "panel", short: "Chat", key: "c", rank: 3,
        label: ({ call }) => (call.model.unreadChat > 0 ? `Chat, ${call.model.unreadChat} unread` : "Chat"),
        icon: () => "chat",
        pressed: ({ call }) => call.model.panel === "chat",
        badge: ({ call }) => call.model.unreadChat,
        run: ({ call }) => call.model.togglePanel("chat"),
    },
    {
        id: "people", group: "panel", short: "People", key: "p", rank: 7,
        label: (room) => (room.waiting > 0 ? `Participants, ${room.waiting} waiting` : "Participants"),
        icon: () => "people",
        pressed: ({ call }) => call.model.panel === "people",
        badge: (room) => (room.call.model.may("admit") ? room.waiting : 0),
        run: ({ call }) => call.model.togglePanel("people"),
    },
    {
        id: "record", group: "view", short: "Record", rank: 9,
        label: ({ call }) => (call.model.state.recording ? "Stop recording" : "Record this session"),
        icon: ({ call }) => (call.model.state.recording ? "stop" : "record"),
        visible: ({ call }) => call.model.may("record"),
        run: (room) => room.toggleRecording(),
    },
    {
        id: "layout", group: "view", short: "Layout", key: "l", rank: 10, popup: "layout",
        label: () => "Layout",
        icon: ({ call }) => `layout-${call.model.layout}`,
        run: (room, button) => (button ? room.openLayoutMenu(button) : room.nextLayout()),
    },
    {
        id: "return", group: "view", key: "r", inMenuOnly: true, rank: 99,
        label: () => "Return to the shared image",
        icon: () => "return",
        visible: ({ call }) => Object.keys(call.model.state.viewports).length > 0 && !call.model.hasFloor,
        run: (room) => room.stage.followAll(),
    },
    {
        id: "statistics", group: "view", key: "t", inMenuOnly: true, rank: 99,
        label: () => "Connection and statistics",
        icon: () => "statistics",
        pressed: ({ call }) => call.model.panel === "statistics",
        run: ({ call }) => call.model.togglePanel("statistics"),
    },
    {
        id: "devices", group: "view", inMenuOnly: true, rank: 99,
        label: () => "Camera, microphone, loudspeaker …",
        icon: () => "settings",
        run: (room) => void room.openDevices(),
    },
    {
        id: "theme", group: "view", inMenuOnly: true, rank: 99, key: "d",
        label: () => (window.consiliumTheme.current() === "dark" ? "Light colours" : "Dark colours"),
        icon: () => (window.consiliumTheme.current() === "dark" ? "sun" : "moon"),
        run: ({ call }) => {
            window.consiliumTheme.toggle();
            call.model.changed();
        },
    },
    {
        id: "help", group: "view", inMenuOnly: true, rank: 99, key: "?",
        label: () => "Keys and help",
        icon: () => "keyboard",
        run: (room) => room.openHelp(),
    },
];
