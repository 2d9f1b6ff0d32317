/** Names that nobody else has made. `crypto.randomUUID` exists on secure pages only, so the bytes are written here. */
function hex(bytes) {
    return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
/** A key that makes a repeated mutation one mutation. */
export const idempotencyKey = () => hex(16);
/** A W3C trace context: the id, and the header that carries it. */
export function trace() {
    const id = hex(16);
    return { id, parent: `00-${id}-${hex(8)}-01` };
}
const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 30_000;
/** Full jitter: anything between nothing and a bound that doubles, so that those who were cut off together do not come back together. */
export const backoff = (attempt) => Math.random() * Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(attempt, 16));
