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

/** The rows to draw: the same number at every place. */
export function drawn(scrollTop: number, heightPx: number, total: number): Span {
  const length = Math.min(Math.ceil(heightPx / ROW_PX) + 1 + 2 * OVERSCAN, total);
  const first = Math.min(Math.max(Math.floor(scrollTop / ROW_PX) - OVERSCAN, 0), total - length);
  return { first, end: first + length };
}

/**
 * The places of `span`, each at the same position of the list for as long as it is drawn: a scroll by one row changes one entry, so that
 * one row on screen gets another content and none is made anew.
 */
export function recycled(span: Span): readonly number[] {
  const length = span.end - span.first;
  return Array.from({ length }, (_, slot) => span.first + ((((slot - span.first) % length) + length) % length));
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
