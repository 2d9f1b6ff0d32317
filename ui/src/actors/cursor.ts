// The moves of the table's cursor.

export type Move = "down" | "up" | "pageDown" | "pageUp" | "first" | "last";

/** Keys that move the cursor. */
export const MOVES: Readonly<Record<string, Move>> = {
  ArrowDown: "down",
  ArrowUp: "up",
  PageDown: "pageDown",
  PageUp: "pageUp",
  Home: "first",
  End: "last",
};

/** Index of the row after `move` from `cursor`; null means before the first row. */
export function target(move: Move, cursor: number | null, total: number, page: number): number {
  const last = Math.max(total - 1, 0);
  const from = cursor ?? -1;
  const to = { down: from + 1, up: from - 1, pageDown: from + page, pageUp: from - page, first: 0, last }[move];
  return Math.min(Math.max(to, 0), last);
}
