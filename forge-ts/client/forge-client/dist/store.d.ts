/** Stores: values that change, and the listeners that are called after each change. */
export interface Store<Value> {
    /** The value now; another object after each change. */
    readonly current: Value;
    /** Calls `listener` after each change, until the returned function is called. */
    subscribe(listener: () => void): () => void;
}
/** Calls every listener. An error that one of them throws is reported as uncaught, and the next listener is called. */
export declare function notifyAll(listeners: Iterable<() => void>): void;
/** Runs `work` and returns whether it succeeded. An error of `work` is reported as uncaught, since no caller could handle it. */
export declare function runGuarded(work: () => void): boolean;
