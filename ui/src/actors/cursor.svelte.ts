// The cursor of the table. It stays on its actor when the order changes, and at its index when the actor is gone.

import { keyOf } from "../shell/route";
import { type Move, target } from "./cursor";
import type { Rows } from "./rows.svelte";

export class Cursor {
  readonly #rows: Rows;
  #key = $state<string | null>(null);
  #at = $state<number | null>(null);

  constructor(rows: Rows) {
    this.#rows = rows;
  }

  /** Key of the actor; null before the first move, and while its row is not loaded. */
  get key(): string | null {
    const row = this.#at === null ? undefined : this.#rows.get(this.#at);
    return this.#key ?? (row === undefined ? null : keyOf(row));
  }

  /** Index of the row; null before the first move. */
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

  /** Index of the row that `move` leads to. The row may not be loaded yet. */
  after(move: Move, page: number): number {
    return target(move, this.index, this.#rows.total ?? 0, page);
  }

  /** Index of the parent's row; null when the rows up to the parent are not loaded. */
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
