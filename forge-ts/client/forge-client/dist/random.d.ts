/** Random identifiers and delays. Identifiers are written byte by byte: `crypto.randomUUID` exists on secure pages only. */
/** The key by which the node recognizes a mutation that it receives again. */
export declare const idempotencyKey: () => string;
/** A W3C trace context: the id, and the header that carries it. */
export declare function trace(): {
    id: string;
    parent: string;
};
/** Milliseconds before attempt `attempt`: full jitter below a bound that doubles, so that clients that lost a node do not return at once. */
export declare const backoff: (attempt: number) => number;
