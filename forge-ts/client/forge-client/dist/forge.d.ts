/**
 * The client: one WebSocket connection for live queries and mutations, HTTP for single calls.
 *
 * The first `watch` or `mutate` opens the connection. A mutation waits while there is no connection and is sent again when the connection
 * broke; the node runs it once. `call` is one HTTP request, which is repeated only when its token was refused.
 */
import { type CallOptions } from "./http.js";
import { type JobHandle, type JobWatch } from "./jobs.js";
import { type Connection } from "./link.js";
import { type LocalStore, type Watch } from "./queries.js";
import type { AnyRef, MutationRef, Params, QueryRef } from "./ref.js";
import { type Result } from "./result.js";
import type { Store } from "./store.js";
import { type GetToken } from "./tokens.js";
import { type WorkflowHandle, type WorkflowWatch } from "./workflows.js";
export interface ForgeOptions {
    /** Address of the node, relative to the page: `"/"` when the node serves the page. */
    url: string | URL;
    getToken?: GetToken;
    /** The `contract` of the generated `api.ts`. */
    contract?: string;
    /** Milliseconds for which a live query stays subscribed after its last listener left. */
    lingerMs?: number;
    fetch?: typeof globalThis.fetch;
    WebSocket?: typeof globalThis.WebSocket;
}
export interface MutateOptions<Args> {
    /** Shows the expected outcome until the node sends the real one. Runs again on each new result, so it must have no other effect. */
    optimistic?: (store: LocalStore, args: Args) => void;
}
export interface Forge {
    /** Calls a handler by one HTTP request. */
    call<Args, Output, AppError>(ref: AnyRef<Args, Output, AppError>, ...args: Params<Args, [options?: CallOptions]>): Promise<Result<Output, AppError>>;
    /** Runs a mutation over the connection: in the order of the calls, sent until its outcome is known, run once. */
    mutate<Args, Output, AppError>(ref: MutationRef<Args, Output, AppError>, ...args: Params<Args, [options?: MutateOptions<Args>]>): Promise<Result<Output, AppError>>;
    /** A live query, which is subscribed while it has a listener. */
    watch<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, ...args: Params<Args>): Watch<Output, AppError>;
    /** A job that this client has dispatched, which is followed while the watch has a listener. */
    job<Output, AppError>(handle: JobHandle<Output, AppError>): JobWatch<Output, AppError>;
    /** A run of a workflow that this client has started, which is followed while the watch has a listener. */
    workflow<Output, AppError>(handle: WorkflowHandle<Output, AppError>): WorkflowWatch<Output, AppError>;
    readonly connection: Store<Connection>;
    /** Grows whenever all data are dropped because another user signed in or the user signed out. */
    readonly sessionEpoch: number;
    /** Connects now instead of at the first live query or mutation. */
    connect(): void;
    /** Asks `getToken` for another token, because a user signed in, and sends it to the node. */
    authenticate(): void;
    /** Drops the token and all data, fails pending mutations, and signs out at the node. `getToken` is not called until `authenticate`. */
    signOut(): void;
    /** Closes the connection, stops timers, removes listeners, and fails mutations as `CANCELLED` or `OUTCOME_UNKNOWN`. */
    close(): void;
}
export declare function createForge(options: ForgeOptions): Forge;
