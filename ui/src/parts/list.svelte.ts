// The list of a page: its rows, whether they keep their places, and which ones are selected.

import { untrack } from "svelte";
import { SvelteSet } from "svelte/reactivity";
import { pause } from "../shell/live.svelte";
import { type Identified, type ShownRow, heldRows, idAfter, replaced } from "./held";

/** An answer of a query that lists rows. */
export type Page<Row> = { readonly rows: readonly Row[] };

/** What a list shows: the rows that match a filter, from `before` on where it is a page of older ones. While it is held, its rows keep their places. */
export type ListView = { readonly filter: unknown; readonly before: string | null; readonly isHeld: boolean };

export class RowList<Row extends Identified, Answer extends Page<Row>> {
  #rows = $state.raw<readonly ShownRow<Row>[]>([]);
  #page = $state.raw<Answer | null>(null);
  #view = $state<string | null>(null);
  #anchor = $state.raw<Row["id"] | null>(null);
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

  /** The newest row, while rows keep their places: newer ones are counted, and shown when the person asks for them. */
  get anchor(): Row["id"] | null {
    return this.#anchor;
  }

  /** Before which row an answer has to begin, for a page of older rows that begins before the row `page`. */
  before(page: Row["id"] | null): Row["id"] | null {
    return page ?? (this.#anchor === null ? null : idAfter(this.#anchor));
  }

  /** Keeps the rows at what a live query answers to `view`. Has to be called while a component is initialized. */
  follow(live: { readonly data: Answer | undefined }, view: () => ListView): void {
    const shown = $derived(view());
    const name = $derived(JSON.stringify([shown.filter, shown.before]));
    $effect(() => {
      const [answer, now, isHeld] = [live.data, name, shown.isHeld || shown.before !== null];
      if (answer !== undefined) untrack(() => (pause.on && this.#view === now ? undefined : this.#take(now, answer, isHeld)));
    });
    $effect(() => {
      const isAnchored = shown.isHeld && shown.before === null && this.#view === name;
      untrack(() => (this.#anchor = isAnchored ? (this.#anchor ?? this.#rows[0]?.row.id ?? null) : null));
    });
  }

  /** Lets the rows move once, so that new ones are among them. */
  showNew(): void {
    this.#anchor = null;
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

  /** Stores an answer for `view`. The rows of the same view keep their places when `isHeld`. */
  #take(view: string, answer: Answer, isHeld: boolean): void {
    if (view !== this.#view) this.selected.clear();
    this.#rows = isHeld && !this.#mayMove && view === this.#view ? heldRows(this.#rows, answer.rows) : replaced(answer.rows);
    this.#mayMove = false;
    this.#view = view;
    this.#page = answer;
  }
}
