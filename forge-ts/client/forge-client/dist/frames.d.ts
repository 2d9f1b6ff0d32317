/** Frames of the WebSocket protocol `forge.v1` (docs: WebSocket). */
import type { WireError } from "./result.js";
export type ClientFrame = {
    type: "hello";
    proto: 1;
    contract?: string;
    token?: string;
} | {
    type: "sub";
    id: number;
    name: string;
    args: unknown;
    version?: string;
} | {
    type: "unsub";
    id: number;
} | {
    type: "mut";
    id: number;
    name: string;
    args: unknown;
    idem: string;
    trace: string;
} | {
    type: "auth";
    token: string | null;
} | {
    type: "ping";
    id: number;
};
export type Mod = {
    id: number;
} & ({
    snapshot: unknown;
    version: string;
    unchanged?: never;
    error?: never;
} | {
    unchanged: true;
    version: string;
    error?: never;
} | {
    error: WireError;
    unchanged?: never;
});
export interface Identity {
    subject: string | null;
    expiresAt: string | null;
}
export type Welcome = {
    type: "welcome";
    session: string;
    node: string;
    contract: string | null;
    pingMs: number;
} & Identity;
export type Transition = {
    type: "transition";
    from: number;
    to: number;
    mods: Mod[];
    applied: number[];
};
export type MutResult = {
    type: "mutResult";
    id: number;
} & ({
    data: unknown;
    error?: never;
} | {
    error: WireError;
});
export type ServerFrame = Welcome | Transition | MutResult | ({
    type: "auth";
} & ((Identity & {
    error?: never;
}) | {
    error: WireError;
})) | {
    type: "goAway";
    afterMs: number;
} | {
    type: "pong";
    id: number;
} | {
    type: "fault";
    error: WireError;
};
