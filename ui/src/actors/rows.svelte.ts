// The loaded rows, by their index in the table. An answer covers a window of the table. Rows outside of the window stay, so that
// scrolling back shows rows at once.

import type { ActorPage, ActorRow } from "../forge/api";
import { type Series, append } from "../parts/series";
import { keyOf } from "../shell/route";

/** Rows kept at most; beyond that the ones farthest from the newest window are removed. */
const KEPT_MAX = 2_000;

export class Rows {
  #rows = new Map<number, ActorRow>();
  #rates = new Map<string, Series>();
  #view: string | null = null;
  #version = $state(0);
  #total = $state<number | null>(null);
  #atMs = $state(0);

  /** Number of rows of the table; null before the first answer. */
  get total(): number | null {
    return this.#total;
  }

  /** Time of the newest answer, by the clock of the node that answered. */
  get atMs(): number {
    return this.#atMs;
  }

  get(index: number): ActorRow | undefined {
    void this.#version;
    return this.#rows.get(index);
  }

  /** Messages per second at the last answers that contained the row. */
  rates(row: ActorRow): Series {
    void this.#version;
    return this.#rates.get(keyOf(row)) ?? [];
  }

  /** Index of an actor's row; null when the row is not loaded. */
  indexOf(key: string): number | null {
    void this.#version;
    for (const [index, row] of this.#rows) if (keyOf(row) === key) return index;
    return null;
  }

  /** Stores an answer for `view` (filter, order, folding) whose rows begin at `offset`. During a pause only missing rows are added. */
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
      if (!paused) rates.set(key, append(this.#rates.get(key) ?? [], row.rate));
    });
    this.#rates = rates;
    if (!paused) for (const index of this.#rows.keys()) if (index >= answer.total) this.#rows.delete(index);
    if (this.#rows.size > KEPT_MAX) this.#removeFarthest(offset);
    this.#total = answer.total;
    if (!paused) this.#atMs = Date.parse(answer.at);
    this.#version += 1;
  }

  #removeFarthest(offset: number): void {
    const far = [...this.#rows.keys()].sort((a, b) => Math.abs(b - offset) - Math.abs(a - offset));
    for (const index of far.slice(0, this.#rows.size - KEPT_MAX)) this.#rows.delete(index);
  }
}
