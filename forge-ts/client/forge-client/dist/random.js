/** Random identifiers and delays. Identifiers are written byte by byte: `crypto.randomUUID` exists on secure pages only. */
function hex(bytes) {
    return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
/** The key by which the node recognizes a mutation that it receives again. */
export const idempotencyKey = () => hex(16);
/** A W3C trace context: the id, and the header that carries it. */
export function trace() {
    const id = hex(16);
    return { id, parent: `00-${id}-${hex(8)}-01` };
}
const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 30_000;
/** Milliseconds before attempt `attempt`: full jitter below a bound that doubles, so that clients that lost a node do not return at once. */
export const backoff = (attempt) => Math.random() * Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(attempt, 16));
