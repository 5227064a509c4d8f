// The shapes that travel on consilium.v1 and browser features newer than the checker's own DOM library. Types only, never loaded.

export interface StreamState {
    kind: "audio" | "video";
    role: string;
    label: string;
    codec: string;
    muted: boolean;
}

export interface ParticipantState {
    name: string;
    role: string;
    device: boolean;
    status: "present" | "waiting" | "disconnected";
    hand: boolean;
    consent: boolean | null;
    streams: Record<string, StreamState>;
}

export interface ChatMessage {
    message: string;
    participant: string;
    name: string;
    text: string;
    t: number;
}

export interface VOI {
    center: number;
    width: number;
    function: "LINEAR" | "LINEAR_EXACT" | "SIGMOID";
}

/** What a viewport shows, in the patient and in image pixels, never on the screen. */
export interface ViewportPatch {
    image?: { sop: string; frame: number };
    area?: { left: number; top: number; right: number; bottom: number };
    orientation?: { rotation: 0 | 90 | 180 | 270; flipHorizontal: boolean };
    voi?: VOI;
    invert?: boolean;
    focalPoint?: [number, number, number] | null;
    viewUp?: [number, number, number] | null;
    parallelScale?: number | null;
}

export interface ViewportState extends ViewportPatch {
    study: string;
    series: string;
}

export interface RoomState {
    room: string;
    kind: string;
    title: string;
    ended: boolean;
    participants: Record<string, ParticipantState>;
    floor: { holder: string | null; epoch: number };
    spotlight: { participant: string; stream: string } | null;
    recording: { recording: string; title: string; since: number } | null;
    chat: ChatMessage[];
    viewports: Record<string, ViewportState>;
}

export interface RoomEvent {
    seq: number;
    t: number;
    v: number;
    event: string;
    by: string | null;
    [field: string]: any;
}

export interface Presence {
    presence: string;
    by?: string;
    [field: string]: any;
}

export interface Notice {
    notice: string;
    [field: string]: any;
}

export interface JoinReply {
    participant: string;
    session: string;
    room: string;
    kind: string;
    role: string;
    now: number;
    permissions: string[];
    waiting?: boolean;
    resumed?: boolean;
    tail?: RoomEvent[];
    snapshot?: { seq: number; state: RoomState };
}

export interface Section {
    mid: string;
    kind: "audio" | "video";
    participant: string | null;
    stream: string | null;
    shared?: true;
}

/** Why we get a stream as we get it: `GET /v1/rooms/{room}/explain`. */
export interface ExplainedStream {
    mid: string;
    kind: "audio" | "video";
    participant: string;
    stream: string;
    role: string;
    layer?: ExplainedLayer;
    wanted?: ExplainedLayer;
    shown?: { width: number; height: number };
    why: string;
}

export interface ExplainedLayer {
    rid?: string;
    width?: number;
    height?: number;
}

export interface StreamDeclaration {
    mid: string;
    stream: string;
    role: string;
    label: string;
    muted: boolean;
}

export interface NegotiateReply {
    sdp: string;
    sections: Section[];
    needed: { audio: number; video: number };
    published: { mid: string; stream: string; kind: string; codec: string }[];
}

export interface SeriesSummary {
    series: string;
    modality: string;
    description: string;
    number: number | null;
    instances: number;
    supported: boolean;
    reason: string | null;
}

export interface StudySummary {
    study: string;
    description: string;
    date: string;
    patient: string;
    series: SeriesSummary[];
}

export interface PointerPresence {
    by: string;
    name: string;
    color: string;
    sop: string;
    frame: number;
    x: number | null;
    y: number | null;
}

export interface ScreenDetailed {
    label: string;
    left: number;
    top: number;
    availLeft: number;
    availTop: number;
    availWidth: number;
    availHeight: number;
    isPrimary: boolean;
}

declare global {
    interface Window {
        getScreenDetails?: () => Promise<{ screens: ScreenDetailed[]; currentScreen: ScreenDetailed }>;
        consilium?: any;
        consiliumTheme: { current(): "dark" | "light"; choice(): string; toggle(): "dark" | "light" };
    }
    interface Screen {
        isExtended?: boolean;
    }
    interface HTMLMediaElement {
        setSinkId?(id: string): Promise<void>;
    }
    interface MediaTrackSettings {
        displaySurface?: string;
    }
    interface RTCRtpTransceiver {
        getHeaderExtensionsToNegotiate?(): { uri: string; direction: RTCRtpTransceiverDirection }[];
        setHeaderExtensionsToNegotiate?(extensions: { uri: string; direction: RTCRtpTransceiverDirection }[]): void;
    }
    interface RTCRtpEncodingParameters {
        scalabilityMode?: string;
    }
}
