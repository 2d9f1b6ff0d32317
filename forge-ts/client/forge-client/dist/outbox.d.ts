/**
 * Mutations on their way.
 *
 *   queued ──connected──▶ sent ──mutResult──▶ answered ──applied──▶ done
 *     │ 5 min: OFFLINE      │ 5 min: OUTCOME_UNKNOWN    (only with a layer: without one, answered is done)
 *
 * Invariants: the promise is settled once; after a reconnect everything that is not done is sent again under the same key, in the same
 * order, so that it happens once however often it travels; what one person asked for is never sent as another.
 */
import type { MutResult } from "./frames.js";
import type { Update, Wire } from "./queries.js";
import { type Result } from "./result.js";
/** Mutations without an outcome; more are refused as OVERLOADED. */
export declare const PENDING_MAX = 100;
export interface Layers {
    addLayer(mutation: number, update: Update): void;
    dropLayer(mutation: number): void;
}
export declare class Outbox {
    #private;
    private readonly wire;
    private readonly layers;
    private readonly onChange;
    constructor(wire: Wire, layers: Layers, onChange: () => void);
    /** Mutations without an outcome. */
    get pending(): number;
    add(name: string, codes: readonly string[], args: unknown, update: Update | undefined): Promise<Result<unknown, unknown>>;
    /** Connected. */
    resume(): void;
    result({ id, ...answer }: MutResult): void;
    /** The node's results contain these. */
    applied(mutations: number[]): void;
    /** Nothing of it is sent any more: somebody else is signed in, or the client is closed. */
    abandon(message: string): void;
    /** The connection ended over a frame that was too large: it would again. */
    tooLarge(): boolean;
}
