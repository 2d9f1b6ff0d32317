/**
 * The outbox: mutations whose outcome is not known, or whose effect the live queries do not show yet.
 *
 *   queued ──connected──▶ sent ──mutResult──▶ answered ──applied──▶ done
 *     │ 5 min: OFFLINE      │ 5 min: OUTCOME_UNKNOWN    (a mutation without an optimistic layer is done here)
 *
 * Invariants: the promise of a mutation is settled once; after a reconnect every mutation that is not done is sent again in the same order
 * and under the same idempotency key, so that the node runs it once; a mutation of one user is never sent as another user.
 */
import type { MutResult } from "./frames.js";
import type { Update, Transport } from "./queries.js";
import { type Result } from "./result.js";
/** Mutations without an outcome at most; further ones fail with OVERLOADED. */
export declare const PENDING_MAX = 100;
export interface Layers {
    addLayer(mutation: number, update: Update): void;
    dropLayer(mutation: number): void;
}
export declare class Outbox {
    #private;
    private readonly transport;
    private readonly layers;
    private readonly onChange;
    constructor(transport: Transport, layers: Layers, onChange: () => void);
    /** Number of mutations without an outcome. */
    get pending(): number;
    add(name: string, codes: readonly string[], args: unknown, update: Update | undefined): Promise<Result<unknown, unknown>>;
    /** Sends all mutations that are not done on the new connection. */
    connected(): void;
    handleResult({ id, ...answer }: MutResult): void;
    /** Marks mutations whose effect the results of the live queries now contain. */
    markApplied(mutations: number[]): void;
    /** Fails all mutations, because another user signed in or the client was closed. */
    abandon(message: string): void;
    /**
     * Fails the largest mutation that was sent, after the node closed the connection over the size of a frame: sent again, that mutation
     * would close the next connection too. Returns false when no mutation was sent.
     */
    failLargest(): boolean;
}
