/** Calls over HTTP: one request, one answer. Only what certainly did not run is repeated, and only once: a call whose token was refused. */
import type { AnyRef } from "./ref.js";
import { type Result } from "./result.js";
import type { Tokens } from "./tokens.js";
export interface CallOptions {
    /** Gives the call up; it may run to its end nevertheless. */
    signal?: AbortSignal;
}
export type AnyRequest = AnyRef<never, unknown, unknown>;
export declare class Http {
    #private;
    private readonly base;
    private readonly tokens;
    private readonly fetch;
    constructor(base: URL, tokens: Tokens, fetch: typeof globalThis.fetch);
    call(ref: AnyRequest, args: unknown, { signal }: CallOptions): Promise<Result<unknown, unknown>>;
}
