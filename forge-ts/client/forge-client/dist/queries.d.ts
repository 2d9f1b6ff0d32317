/**
 * Live queries: the last result that the node sent for each (base), the optimistic updates of unsettled mutations (layers), and the state
 * that listeners see, which is the base with all layers applied.
 *
 * Watches of the same query with equal arguments share one entry and one subscription. The subscription begins with the first listener and
 * ends a moment after the last one left, so that a page that is left and opened again causes no traffic.
 *
 * Invariants: listeners are notified after a whole transition was applied, never in between; the layers are applied again to each new base;
 * a layer is dropped when the node reports that the base contains its mutation, or when the mutation failed. After a reconnect no new
 * result is shown until every earlier result was confirmed or replaced, since old and new results together are a state that never existed.
 */
import type { ClientFrame, Transition } from "./frames.js";
import { type Params, type QueryRef } from "./ref.js";
import { type Failure } from "./result.js";
import { type Store } from "./store.js";
interface Stamp {
    /** The arrival of the data, in milliseconds of `Date.now()`. */
    readonly updatedAt: number | undefined;
    /** Version of the data, by which the node recognizes them after a reconnect. */
    readonly version: string | undefined;
}
/** The state of a live query. With `error` the last data are kept; `stale` data are the last ones, which the node has not confirmed. */
export type LiveState<Output, AppError = never> = Stamp & ({
    readonly status: "loading";
    readonly data: undefined;
    readonly error: undefined;
    readonly isLoading: true;
    readonly isStale: false;
} | {
    readonly status: "live";
    readonly data: Output;
    readonly error: undefined;
    readonly isLoading: false;
    readonly isStale: false;
} | {
    readonly status: "stale";
    readonly data: Output;
    readonly error: undefined;
    readonly isLoading: false;
    readonly isStale: true;
} | {
    readonly status: "error";
    readonly data: Output | undefined;
    readonly error: Failure<AppError>;
    readonly isLoading: false;
    readonly isStale: boolean;
});
/** A live query: `current` can be read at any time, and follows the node while the watch has a listener. */
export interface Watch<Output, AppError = never> extends Store<LiveState<Output, AppError>> {
    /** Subscribes again after an error. */
    retry(): void;
}
/**
 * The results of watched queries, which an optimistic update changes as its mutation will. The update runs again on each new result of the
 * node.
 */
export interface LocalStore {
    /** The result with all earlier layers; `undefined` when the query is not watched or has no result yet. */
    get<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, ...args: Params<Args>): Output | undefined;
    set<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, args: Args, value: Output): void;
    /** Lets `change` edit a copy of the result; its return value is ignored. */
    patch<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, args: Args, change: (draft: Output) => unknown): void;
    /** Does the same for every watched query of that name, with any arguments. */
    patchAll<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, change: (draft: Output, args: Args) => unknown): void;
    /** An identifier for a record that the node has not created yet; the same one whenever this update runs again. */
    tempId<Id extends string = string>(): Id;
}
/** Whether an identifier came from `tempId`, so that the node does not know its record yet. */
export declare const isTemporary: (id: string) => boolean;
export type Update = (store: LocalStore) => void;
type AnyQuery = QueryRef<never, unknown, unknown>;
/** The connection, as live queries and mutations use it. */
export interface Transport {
    /** Number of tokens sent to nodes. */
    readonly tokensSent: number;
    send(frame: ClientFrame): boolean;
    start(): void;
    replaceRefusedToken(): Promise<boolean>;
}
export declare class Queries {
    #private;
    private readonly transport;
    private readonly lingerMs;
    /** Receives the mutations whose effect the base now contains. */
    private readonly onApplied;
    /** Grows whenever all data are dropped because another user signed in or the user signed out. */
    sessionEpoch: number;
    constructor(transport: Transport, lingerMs: number, 
    /** Receives the mutations whose effect the base now contains. */
    onApplied: (mutations: number[]) => void);
    watch(ref: AnyQuery, args: unknown): Watch<unknown, unknown>;
    /** The connection is live: subscribes every query that has a listener, from the version of its last result. */
    connected(): void;
    disconnected(): void;
    /** Subscribes refused queries again, after the node accepted another token. */
    retryRefused(): void;
    /** Drops all data, because the user changed. New subscription ids make sure that a frame for the former user is ignored. */
    forget(): void;
    transition(frame: Transition): void;
    addLayer(mutation: number, update: Update): void;
    dropLayer(mutation: number): void;
    /** Fails the largest subscription without a result, after the node closed the connection over the size of a frame. */
    failLargest(): void;
    close(): void;
}
export {};
