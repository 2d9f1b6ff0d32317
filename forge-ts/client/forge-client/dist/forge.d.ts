/**
 * The client: one connection for everything that is live, HTTP for single calls.
 *
 * `watch` and `mutate` open the connection when they are first used. `mutate` always travels on it: it is kept while there is none, is
 * sent again after one broke, and happens once. `call` is one HTTP request, which is never repeated behind the caller's back.
 */
import { type CallOptions } from "./http.js";
import { type Connection } from "./link.js";
import { type LocalStore, type Watch } from "./queries.js";
import type { AnyRef, MutationRef, Params, QueryRef } from "./ref.js";
import { type Result } from "./result.js";
import type { Store } from "./store.js";
import { type GetToken } from "./tokens.js";
export interface ForgeOptions {
    /** Where the node is, relative to the page: `"/"` when it serves the page. */
    url: string | URL;
    getToken?: GetToken;
    /** `contract` of the generated `api.ts`. */
    contract?: string;
    /** How long a live query stays subscribed after its last listener left. */
    lingerMs?: number;
    fetch?: typeof globalThis.fetch;
    WebSocket?: typeof globalThis.WebSocket;
}
export interface MutateOptions<Args> {
    /** Shows the outcome before it is there. It runs again whenever what it changes is told anew, so it must not do anything else. */
    optimistic?: (store: LocalStore, args: Args) => void;
}
export interface Forge {
    /** One request over HTTP. */
    call<Args, Output, AppError>(ref: AnyRef<Args, Output, AppError>, ...args: Params<Args, [options?: CallOptions]>): Promise<Result<Output, AppError>>;
    /** A mutation over the connection: in order, sent until its outcome is known, done once. */
    mutate<Args, Output, AppError>(ref: MutationRef<Args, Output, AppError>, ...args: Params<Args, [options?: MutateOptions<Args>]>): Promise<Result<Output, AppError>>;
    /** A live query. It is subscribed while somebody listens. */
    watch<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, ...args: Params<Args>): Watch<Output, AppError>;
    readonly connection: Store<Connection>;
    /** Grows whenever data were forgotten because somebody else is signed in. */
    readonly era: number;
    /** Connects now instead of with the first live query. */
    connect(): void;
    /** The application has another token (somebody signed in): asks `getToken` for it and tells the node. */
    authenticate(): void;
    /** Forgets the token and all data, gives pending mutations up, and tells the node. `getToken` is not asked until `authenticate`. */
    signOut(): void;
    /** Ends everything: connection, timers, listeners, and mutations, as `CANCELLED` or `OUTCOME_UNKNOWN`. */
    close(): void;
}
export declare function createForge(options: ForgeOptions): Forge;
