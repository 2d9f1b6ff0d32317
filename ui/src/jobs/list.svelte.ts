// The list of jobs on the page: its rows, whether they keep their places, and which ones are selected.

import { SvelteSet } from "svelte/reactivity";
import type { JobId, JobPage } from "../forge/api";
import { type ShownJob, heldRows, replaced } from "./rows";

export class JobList {
  #rows = $state.raw<readonly ShownJob[]>([]);
  #page = $state.raw<JobPage | null>(null);
  #view = $state<string | null>(null);
  #mayMove = false;
  /** Ids of the selected jobs. */
  readonly selected = new SvelteSet<JobId>();

  get rows(): readonly ShownJob[] {
    return this.#rows;
  }

  /** The newest answer; null before the first one. */
  get page(): JobPage | null {
    return this.#page;
  }

  /** What the rows are an answer to: the filter and the page. */
  get view(): string | null {
    return this.#view;
  }

  /** The newest row; null without rows. */
  get first(): JobId | null {
    return this.#rows[0]?.job.id ?? null;
  }

  /** Stores an answer for `view`. The rows of the same view keep their places when `isHeld`. */
  take(view: string, answer: JobPage, isHeld: boolean): void {
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

  toggle(job: JobId): void {
    if (!this.selected.delete(job)) this.selected.add(job);
  }

  /** Selects all rows, or none when all of them are selected. */
  toggleAll(): void {
    const all = this.#rows.filter(({ isGone }) => !isGone).map(({ job }) => job.id);
    const isAll = all.every((id) => this.selected.has(id));
    for (const id of all) {
      if (isAll) this.selected.delete(id);
      else this.selected.add(id);
    }
  }
}
