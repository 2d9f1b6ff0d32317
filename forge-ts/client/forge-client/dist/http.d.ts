/**
 * Calls over HTTP: one request, one response. A call is repeated only when its token was refused, once and with another token: such a
 * call certainly did not run.
 */
import type { AnyRef } from "./ref.js";
import { type Result } from "./result.js";
import type { Tokens } from "./tokens.js";
export interface CallOptions {
    /** Aborts waiting for the result. The node may run the call to its end nevertheless. */
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
