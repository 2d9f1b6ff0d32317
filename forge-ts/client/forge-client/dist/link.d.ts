/**
 * The connection: one socket at a time, and who speaks on it.
 *
 *   idle ──start──▶ fetching ──token──▶ opening ──open, hello──▶ greeting ──welcome──▶ live
 *                      ▲  │ no token       │ 10 s                   │ 10 s              │ closed, silent, goAway
 *                      │  ▼                ▼                        ▼                   ▼
 *                      waiting ◀───────────┴────────────────────────┴───────────────────┘
 *
 * Invariants: a frame of an earlier socket is never heard; an attempt always follows, with full jitter, and at once after a planned end
 * (1001, 1012, goAway), an expired token, `online` or a page that becomes visible; a socket is never closed for want of a token, the
 * node does that. `waiting` is the only state without a socket or a fetch, and it always has a timer.
 */
import type { ClientFrame, ServerFrame } from "./frames.js";
import { type Store } from "./store.js";
import type { Tokens } from "./tokens.js";
export type ConnectionState = "connecting" | "live" | "reconnecting" | "offline" | "authExpired" | "outdated";
export interface Connection {
    /** `outdated` is live, with a node whose functions are not those that this page was built for: reload when it suits. */
    readonly state: ConnectionState;
    /** When the state began, in milliseconds of `Date.now()`. */
    readonly since: number;
    /** Attempts since the connection was last stable. */
    readonly attempt: number;
    readonly nextRetryAt: number | undefined;
    /** Mutations whose outcome is not known yet. */
    readonly pendingMutations: number;
    readonly rttMs: number | undefined;
}
/** What lives on the connection. */
export interface Passengers {
    /** Connected: subscribe and send again what is unsettled. `changed`: another person than before is signed in. */
    live(changed: boolean): void;
    lost(): void;
    /** Another token was accepted: ask again for what was refused. */
    identified(changed: boolean): void;
    /** The node refused the largest frame that waits for an answer. */
    tooLarge(): void;
    frame(frame: ServerFrame): void;
    pending(): number;
}
export interface LinkOptions {
    url: URL;
    contract: string | undefined;
    tokens: Tokens;
    WebSocket: typeof WebSocket | undefined;
    passengers: Passengers;
}
export declare class Link implements Store<Connection> {
    #private;
    private readonly options;
    current: Connection;
    /** Tokens that nodes were told since the first connection. */
    tokensTold: number;
    constructor(options: LinkOptions);
    get isLive(): boolean;
    subscribe(listener: () => void): () => void;
    /** Connects, unless it did already. Without WebSocket (on a server) nothing is ever live. */
    start(): void;
    /** Writes a frame; `false` when there is no live connection. */
    send(frame: ClientFrame): boolean;
    /** A call was refused as UNAUTHENTICATED: whether another token was had and accepted, so that it is worth a repeat. */
    challenge(): Promise<boolean>;
    /** Another person, or none. The frames that follow are judged as theirs. */
    identify(signedOut: boolean): void;
    /** Tells listeners what changed. */
    publish(): void;
    close(): void;
}
