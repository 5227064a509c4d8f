// A room as a value, the twin of RoomState.swift: `apply` is the only way it changes, live and in a replay alike.

/** @typedef {{kind: string, role: string, label: string, codec: string, muted: boolean}} Stream */
/** @typedef {{name: string, role: string, device: boolean, status: "present"|"waiting"|"disconnected", hand: boolean,
 *   consent: boolean|null, streams: Object<string, Stream>}} Participant */
/** @typedef {{room: string, kind: string, title: string, ended: boolean, participants: Object<string, Participant>,
 *   floor: {holder: string|null, epoch: number}, spotlight: {participant: string, stream: string}|null,
 *   recording: {recording: string, title: string, since: number}|null,
 *   chat: {message: string, participant: string, name: string, text: string, t: number}[],
 *   viewports: Object<string, any>}} RoomState */

export const eventVersion = 1;
const chatLimit = 200;
const viewportGroups = ["image", "area", "orientation", "voi", "invert", "focalPoint", "viewUp", "parallelScale"];

/** @returns {RoomState} */
export function emptyState() {
  return {
    room: "", kind: "consultation", title: "", ended: false, participants: {},
    floor: { holder: null, epoch: 0 }, spotlight: null, recording: null, chat: [], viewports: {},
  };
}

/**
 * Changes the room by one event, in place. An event about somebody unknown changes nothing.
 * @param {RoomState} state
 * @param {any} event
 * @returns {RoomState} the same state
 */
export function apply(state, event) {
  if (event.v !== eventVersion) throw new Error(`event version ${event.v} is not known here, only ${eventVersion}`);
  const change = changes[event.event];
  if (!change) throw new Error(`event "${event.event}" is not known here`);
  change(state, event);
  return state;
}

/**
 * @param {RoomState} state
 * @param {string} id
 * @param {(participant: Participant) => void} change
 */
function withParticipant(state, id, change) {
  if (Object.hasOwn(state.participants, id)) change(state.participants[id]);
}

/** @param {RoomState} state @param {any} e */
function goes(state, e) {
  delete state.participants[e.participant];
  if (state.spotlight?.participant === e.participant) state.spotlight = null;
}

/** @param {any} e @param {"present"|"waiting"} status @returns {Participant} */
function arrival(e, status) {
  return { name: e.name, role: e.role, device: e.device ?? false, status, hand: false, consent: null, streams: {} };
}

/** @type {Object<string, (state: RoomState, e: any) => void>} */
const changes = {
  "room.opened"(s, e) { s.kind = e.kind; s.title = e.title; },
  "room.ended"(s) { s.ended = true; },
  "participant.waiting"(s, e) { s.participants[e.participant] = arrival(e, "waiting"); },
  "participant.joined"(s, e) { s.participants[e.participant] = arrival(e, "present"); },
  "participant.rejected": goes,
  "participant.left": goes,
  "participant.disconnected"(s, e) { withParticipant(s, e.participant, (p) => { p.status = "disconnected"; }); },
  "participant.reconnected"(s, e) { withParticipant(s, e.participant, (p) => { p.status = "present"; }); },
  "stream.published"(s, e) {
    const { kind, role, label, codec, muted } = e;
    withParticipant(s, e.participant, (p) => { p.streams[e.stream] = { kind, role, label, codec, muted }; });
  },
  "stream.unpublished"(s, e) {
    withParticipant(s, e.participant, (p) => { delete p.streams[e.stream]; });
    const spotlight = s.spotlight;
    if (spotlight && spotlight.participant === e.participant && spotlight.stream === e.stream) s.spotlight = null;
  },
  "stream.muted"(s, e) {
    withParticipant(s, e.participant, (p) => { if (Object.hasOwn(p.streams, e.stream)) p.streams[e.stream].muted = e.muted; });
  },
  "hand.raised"(s, e) { withParticipant(s, e.participant, (p) => { p.hand = true; }); },
  "hand.lowered"(s, e) { withParticipant(s, e.participant, (p) => { p.hand = false; }); },
  "floor.changed"(s, e) { s.floor = { holder: e.holder ?? null, epoch: e.epoch }; },
  "chat.message"(s, e) {
    const name = Object.hasOwn(s.participants, e.participant) ? s.participants[e.participant].name : "";
    s.chat.push({ message: e.message, participant: e.participant, name, text: e.text, t: e.t });
    if (s.chat.length > chatLimit) s.chat.splice(0, s.chat.length - chatLimit);
  },
  "spotlight.changed"(s, e) {
    s.spotlight = e.participant ? { participant: e.participant, stream: e.stream } : null;
  },
  "recording.started"(s, e) {
    s.recording = { recording: e.recording, title: e.title, since: e.t };
    for (const p of Object.values(s.participants)) p.consent = null;
  },
  "recording.stopped"(s) { s.recording = null; },
  "consent.given"(s, e) { withParticipant(s, e.participant, (p) => { p.consent = e.given; }); },
  "viewport.opened"(s, e) { s.viewports[e.viewport] = { study: e.study, series: e.series }; },
  "viewport.changed"(s, e) {
    if (!Object.hasOwn(s.viewports, e.viewport)) return;
    const viewport = s.viewports[e.viewport];
    for (const group of viewportGroups) {
      if (e.patch[group] !== undefined && e.patch[group] !== null) viewport[group] = structuredClone(e.patch[group]);
    }
  },
  "viewport.closed"(s, e) { delete s.viewports[e.viewport]; },
};
