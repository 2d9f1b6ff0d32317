// Which rows are on screen, and which of them the server is asked for.

/** Height of a row; the style sheet of the rows says the same. */
export const ROW_PX = 30;
/** Rows of one answer; the server gives no more. */
export const ROWS_MAX = 200;
/** Offsets are multiples of this: a short scroll asks for nothing, and readers of the same place share an answer. */
const STEP = 50;
/** Rows drawn above and below the visible ones. */
const OVERSCAN = 6;

/** Rows `first..end` (end excluded). */
export type Span = { readonly first: number; readonly end: number };

/** The rows to draw. */
export function drawn(scrollTop: number, heightPx: number, total: number): Span {
  const first = Math.floor(scrollTop / ROW_PX) - OVERSCAN;
  const end = Math.ceil((scrollTop + heightPx) / ROW_PX) + OVERSCAN;
  return { first: within(first, total), end: within(end, total) };
}

/** The offset to ask for: the drawn rows lie in the middle of the answer, as far as the table reaches. */
export function offsetFor(span: Span): number {
  const middle = (span.first + span.end) / 2;
  return Math.max(0, Math.round((middle - ROWS_MAX / 2) / STEP) * STEP);
}

/** Where to scroll so that row `index` is visible; the present place when it is. */
export function scrollTo(index: number, scrollTop: number, heightPx: number): number {
  const top = index * ROW_PX;
  if (top < scrollTop) return top;
  return Math.max(scrollTop, top + ROW_PX - heightPx);
}

function within(index: number, total: number): number {
  return Math.min(Math.max(index, 0), total);
}
