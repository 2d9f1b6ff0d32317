// Rows of equal height, of which only the visible ones are drawn.

/** Rows drawn above and below the visible ones. */
const OVERSCAN = 6;

/** Rows `first..end` (end excluded). */
export type Span = { readonly first: number; readonly end: number };

/** The rows to draw; their number does not depend on the scroll position. */
export function drawnRows(scrollTop: number, heightPx: number, total: number, rowPx: number): Span {
  const length = Math.min(Math.ceil(heightPx / rowPx) + 1 + 2 * OVERSCAN, total);
  const first = Math.min(Math.max(Math.floor(scrollTop / rowPx) - OVERSCAN, 0), total - length);
  return { first, end: first + length };
}
