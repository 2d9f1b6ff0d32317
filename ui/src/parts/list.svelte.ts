// The list of a page: its rows, whether they keep their places, and which ones are selected.

import { SvelteSet } from "svelte/reactivity";
import { type Identified, type ShownRow, heldRows, replaced } from "./held";

/** An answer of a query that lists rows. */
export type Page<Row> = { readonly rows: readonly Row[] };

export class RowList<Row extends Identified, Answer extends Page<Row>> {
  #rows = $state.raw<readonly ShownRow<Row>[]>([]);
  #page = $state.raw<Answer | null>(null);
  #view = $state<string | null>(null);
  #mayMove = false;
  /** Ids of the selected rows. */
  readonly selected = new SvelteSet<Row["id"]>();

  get rows(): readonly ShownRow<Row>[] {
    return this.#rows;
  }

  /** The newest answer; null before the first one. */
  get page(): Answer | null {
    return this.#page;
  }

  /** What the rows are an answer to: the filter and the page. */
  get view(): string | null {
    return this.#view;
  }

  /** The newest row; null without rows. */
  get first(): Row["id"] | null {
    return this.#rows[0]?.row.id ?? null;
  }

  /** Stores an answer for `view`. The rows of the same view keep their places when `isHeld`. */
  take(view: string, answer: Answer, isHeld: boolean): void {
    if (view !== this.#view) this.selected.clear();
    this.#rows = isHeld && !this.#mayMove && view === this.#view ? heldRows(this.#rows, answer.rows) : replaced(answer.rows);
    this.#mayMove = false;
    this.#view = view;
    this.#page = answer;
  }

  /** Lets the rows move with the next answer, also when they keep their places otherwise. */
  letMove(): void {
    this.#mayMove = true;
  }

  toggle(id: Row["id"]): void {
    if (!this.selected.delete(id)) this.selected.add(id);
  }

  /** Selects all rows, or none when all of them are selected. */
  toggleAll(): void {
    const all = this.#rows.filter(({ isGone }) => !isGone).map(({ row }) => row.id);
    const isAll = all.every((id) => this.selected.has(id));
    for (const id of all) {
      if (isAll) this.selected.delete(id);
      else this.selected.add(id);
    }
  }
}
