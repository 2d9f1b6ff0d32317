/**
 * Live queries: what the node last told (base), what mutations under way make of it (layers), and what listeners see of both.
 *
 * Equal name and arguments are one entry with one subscription on the wire. It begins with the first listener and ends a moment after the
 * last one, so that going back and forth costs nothing.
 *
 * Invariants: listeners are told after everything of a frame is in place, never between; what they see is base plus the layers that are
 * not settled, applied again to each new base; a layer falls when the node says that its base contains it, or when its mutation failed.
 * After a reconnect nothing new is shown until each result of before has been confirmed or replaced: old and new ones together would be
 * a state that never was.
 */
import type { ClientFrame, Transition } from "./frames.js";
import { type Params, type QueryRef } from "./ref.js";
import { type Failure } from "./result.js";
import { type Store } from "./store.js";
interface Stamp {
    /** When the data were told, in milliseconds of `Date.now()`. */
    readonly updatedAt: number | undefined;
    /** Identifies the data. */
    readonly version: string | undefined;
}
/** A live query, as one sees it. An error keeps the last data; `stale` data are shown while they cannot be confirmed. */
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
/** A live query: `current` may be read at any time, and changes while somebody is subscribed. */
export interface Watch<Output, AppError = never> extends Store<LiveState<Output, AppError>> {
    /** Asks again, after an error. */
    retry(): void;
}
/** What an optimistic update may do: change results of queries that are watched, as the mutation will. It runs again on each new base. */
export interface LocalStore {
    /** What is shown, layers below this one included; `undefined` when the query is not watched or has no result yet. */
    get<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, ...args: Params<Args>): Output | undefined;
    set<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, args: Args, value: Output): void;
    /** Lets `change` edit a copy of the result; what it returns does not matter. */
    patch<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, args: Args, change: (draft: Output) => unknown): void;
    /** The same for every watched query of that name, whatever its arguments. */
    patchAll<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, change: (draft: Output, args: Args) => unknown): void;
    /** An identifier for something that has none yet: the same one whenever this update runs again. */
    tempId<Id extends string = string>(): Id;
}
/** Whether an identifier came from `tempId`: what it names is shown before the node knows it. */
export declare const isTemporary: (id: string) => boolean;
export type Update = (store: LocalStore) => void;
type AnyQuery = QueryRef<never, unknown, unknown>;
export interface Wire {
    /** Grows with each token that the node is told. */
    readonly tokensTold: number;
    send(frame: ClientFrame): boolean;
    start(): void;
    challenge(): Promise<boolean>;
}
export declare class Queries {
    #private;
    private readonly wire;
    private readonly lingerMs;
    /** Layers whose mutations the node has shown. */
    private readonly onApplied;
    /** Grows whenever data are forgotten because somebody else is signed in. */
    era: number;
    constructor(wire: Wire, lingerMs: number, 
    /** Layers whose mutations the node has shown. */
    onApplied: (mutations: number[]) => void);
    watch(ref: AnyQuery, args: unknown): Watch<unknown, unknown>;
    /** Connected: everything that somebody listens to is asked for again, from the version that is here. */
    resume(): void;
    lost(): void;
    /** Another token counts: what was refused may be allowed now. */
    reconsider(): void;
    /** Somebody else is signed in, or nobody: nothing of before may be seen again, not even a frame that is on its way. */
    forget(): void;
    transition(frame: Transition): void;
    addLayer(mutation: number, update: Update): void;
    dropLayer(mutation: number): void;
    /** The largest request that could have been refused for its size. */
    tooLarge(): void;
    close(): void;
}
export {};
