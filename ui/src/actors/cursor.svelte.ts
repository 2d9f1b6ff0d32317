// The cursor of the table: it stays with its actor when the order changes, and at its place when the actor is gone.

import { keyOf } from "../shell/place";
import { type Move, target } from "./cursor";
import type { Rows } from "./rows.svelte";

export class Cursor {
  readonly #rows: Rows;
  #key = $state<string | null>(null);
  #at = $state<number | null>(null);

  constructor(rows: Rows) {
    this.#rows = rows;
  }

  /** The actor; null before the first move, and while its row has not come yet. */
  get key(): string | null {
    const row = this.#at === null ? undefined : this.#rows.get(this.#at);
    return this.#key ?? (row === undefined ? null : keyOf(row));
  }

  /** The row; null before the first move. */
  get index(): number | null {
    const last = (this.#rows.total ?? 0) - 1;
    if (this.#at === null || last < 0) return null;
    return (this.#key === null ? null : this.#rows.indexOf(this.#key)) ?? Math.min(this.#at, last);
  }

  put(index: number): void {
    const row = this.#rows.get(index);
    this.#key = row === undefined ? null : keyOf(row);
    this.#at = index;
  }

  /** The row that `move` leads to, which may have to be scrolled to before it is there. */
  after(move: Move, page: number): number {
    return target(move, this.index, this.#rows.total ?? 0, page);
  }

  /** The row above `index` that it is part of, as far as the rows are there. */
  parentOf(index: number): number | null {
    const depth = this.#rows.get(index)?.depth ?? 0;
    for (let above = index - 1; above >= 0; above -= 1) {
      const row = this.#rows.get(above);
      if (row === undefined) return null;
      if (row.depth < depth) return above;
    }
    return null;
  }
}
