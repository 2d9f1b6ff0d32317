// The rows that are drawn, and the window of the table that is requested for them.

import { type Span, drawnRows } from "../parts/window";

/** Height of a row; `table.css` has the same value. */
export const ROW_PX = 30;
/** Rows of one answer; the node returns no more. */
export const ROWS_MAX = 200;
/** Offsets are multiples of this, so that a short scroll requests nothing, and users at the same rows share a query group. */
const STEP = 50;
/** The rows to draw; their number does not depend on the scroll position. */
export function drawn(scrollTop: number, heightPx: number, total: number): Span {
  return drawnRows(scrollTop, heightPx, total, ROW_PX);
}

/**
 * The indices of `span`, each at the same position of the list for as long as it is drawn. A scroll by one row changes one entry, so that
 * one row of the document gets new content and none is created.
 */
export function recycled(span: Span): readonly number[] {
  const length = span.end - span.first;
  return Array.from({ length }, (_, slot) => span.first + ((((slot - span.first) % length) + length) % length));
}

/** The offset of the request: the drawn rows lie in the middle of the answer, as far as the table allows. */
export function offsetFor(span: Span): number {
  const middle = (span.first + span.end) / 2;
  return Math.max(0, Math.round((middle - ROWS_MAX / 2) / STEP) * STEP);
}

/** The scroll position at which row `index` is visible; the present one when the row is visible. */
export function scrollTo(index: number, scrollTop: number, heightPx: number): number {
  const top = index * ROW_PX;
  if (top < scrollTop) return top;
  return Math.max(scrollTop, top + ROW_PX - heightPx);
}
