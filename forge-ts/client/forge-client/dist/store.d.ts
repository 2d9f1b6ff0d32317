/** A value that changes, and those who want to hear of it. */
export interface Store<Value> {
    /** The value now; another object after each change. */
    readonly current: Value;
    /** Calls `listener` after each change, until the returned function is called. */
    subscribe(listener: () => void): () => void;
}
/** Calls every listener, whatever one of them throws: the error is reported as an uncaught one is. */
export declare function tell(listeners: Iterable<() => void>): void;
/** Runs `work`; reports what it throws, since there is no caller who could handle it. */
export declare function guarded(work: () => void): boolean;
