/** Names that nobody else has made. `crypto.randomUUID` exists on secure pages only, so the bytes are written here. */
/** A key that makes a repeated mutation one mutation. */
export declare const idempotencyKey: () => string;
/** A W3C trace context: the id, and the header that carries it. */
export declare function trace(): {
    id: string;
    parent: string;
};
/** Full jitter: anything between nothing and a bound that doubles, so that those who were cut off together do not come back together. */
export declare const backoff: (attempt: number) => number;
