// The rows that came so far, by their place in the table. An answer covers a window; what lies beside it stays until it is
// asked for again, so that a short way back shows rows at once.

import type { ActorPage, ActorRow } from "../forge/api";
import { type Series, pushed } from "../parts/series";
import { keyOf } from "../shell/place";

/** Rows kept; the farthest from the newest answer go first. */
const KEPT_MAX = 2_000;

export class Rows {
  #rows = new Map<number, ActorRow>();
  #rates = new Map<string, Series>();
  #view: string | null = null;
  #version = $state(0);
  #total = $state<number | null>(null);
  #atMs = $state(0);

  /** How many rows the table has; null before the first answer. */
  get total(): number | null {
    return this.#total;
  }

  /** When the newest answer was given, by the clock of the node that gave it. */
  get atMs(): number {
    return this.#atMs;
  }

  get(index: number): ActorRow | undefined {
    void this.#version;
    return this.#rows.get(index);
  }

  /** Messages per second of the last moments, as far as the row was looked at. */
  rates(row: ActorRow): Series {
    void this.#version;
    return this.#rates.get(keyOf(row)) ?? [];
  }

  /** Place of an actor among the rows that came. */
  indexOf(key: string): number | null {
    void this.#version;
    for (const [index, row] of this.#rows) if (keyOf(row) === key) return index;
    return null;
  }

  /** Takes the answer for `view` (filter, order, folding) from row `offset` on. While paused, rows stay as they are, and only gaps are filled. */
  take(view: string, offset: number, answer: ActorPage, paused: boolean): void {
    if (view !== this.#view) {
      this.#rows.clear();
      this.#view = view;
    }
    const rates = paused ? this.#rates : new Map<string, Series>();
    answer.rows.forEach((row, at) => {
      const index = offset + at;
      if (paused && this.#rows.has(index)) return;
      this.#rows.set(index, row);
      const key = keyOf(row);
      if (!paused) rates.set(key, pushed(this.#rates.get(key) ?? [], row.rate));
    });
    this.#rates = rates;
    if (!paused) for (const index of this.#rows.keys()) if (index >= answer.total) this.#rows.delete(index);
    if (this.#rows.size > KEPT_MAX) this.#forgetFar(offset);
    this.#total = answer.total;
    if (!paused) this.#atMs = Date.parse(answer.at);
    this.#version += 1;
  }

  #forgetFar(offset: number): void {
    const far = [...this.#rows.keys()].sort((a, b) => Math.abs(b - offset) - Math.abs(a - offset));
    for (const index of far.slice(0, this.#rows.size - KEPT_MAX)) this.#rows.delete(index);
  }
}
