/**
 * The WebSocket connection of a client: one socket at a time, and the user whose token it carries.
 *
 *   idle ──start──▶ fetching ──token──▶ opening ──open, hello──▶ greeting ──welcome──▶ live
 *                      ▲  │ no token       │ 10 s                   │ 10 s              │ closed, silent, goAway
 *                      │  ▼                ▼                        ▼                   ▼
 *                      waiting ◀───────────┴────────────────────────┴───────────────────┘
 *
 * Invariants: a frame of an earlier socket is ignored; another attempt always follows a lost socket, with full jitter, or at once after a
 * planned end (1001, 1012, goAway), an expired token, `online` or a page that becomes visible; the client never closes a socket because its
 * token cannot be renewed, the node does that. `waiting` is the only state without a socket or a fetch, and it always has a timer.
 */
import type { ClientFrame, ServerFrame } from "./frames.js";
import { type Store } from "./store.js";
import type { Tokens } from "./tokens.js";
export type ConnectionState = "connecting" | "live" | "reconnecting" | "offline" | "authExpired" | "outdated";
export interface Connection {
    /** `outdated`: the connection is live, but the contract of the node is not the one that this page was built with. A reload mends that. */
    readonly state: ConnectionState;
    /** The start of the state, in milliseconds of `Date.now()`. */
    readonly since: number;
    /** Attempts since the connection was last stable. */
    readonly attempt: number;
    readonly nextRetryAt: number | undefined;
    /** Mutations whose outcome is not known yet. */
    readonly pendingMutations: number;
    readonly rttMs: number | undefined;
}
/** The parts of the client that use the connection, as the connection calls them. */
export interface ConnectionListener {
    /** The connection is live: subscriptions and unsettled mutations have to be sent again. `userChanged`: the user is not the one of before. */
    connected(userChanged: boolean): void;
    disconnected(): void;
    /** The node accepted another token: refused subscriptions may succeed now. */
    authenticated(userChanged: boolean): void;
    /** The node closed the connection over the size of a frame, probably of the largest one without an answer. */
    frameTooLarge(): void;
    frame(frame: ServerFrame): void;
    pendingMutations(): number;
}
export interface LinkOptions {
    url: URL;
    contract: string | undefined;
    tokens: Tokens;
    WebSocket: typeof WebSocket | undefined;
    listener: ConnectionListener;
}
export declare class Link implements Store<Connection> {
    #private;
    private readonly options;
    current: Connection;
    /** Number of `auth` frames sent since the client was created. */
    tokensSent: number;
    constructor(options: LinkOptions);
    get isLive(): boolean;
    subscribe(listener: () => void): () => void;
    /** Connects, unless the connection was started already. Without `WebSocket` (server-side rendering) nothing happens. */
    start(): void;
    /** Sends a frame; returns `false` when there is no live connection. */
    send(frame: ClientFrame): boolean;
    /** Fetches and sends another token after a request failed as UNAUTHENTICATED. Returns whether the request is worth repeating. */
    replaceRefusedToken(): Promise<boolean>;
    /** Another user signed in, or the user signed out. The node runs the frames that follow as that user. */
    identify(signedOut: boolean): void;
    /** Computes `current` anew and notifies the listeners when it changed. */
    publish(): void;
    close(): void;
}
