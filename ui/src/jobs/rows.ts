// The rows of the list of jobs. While a person reads, rows keep their places: those that change change in place, those that leave the list stay
// and say so, and those that are new wait to be shown.

import type { JobId, JobRow } from "../forge/api";

export type ShownJob = {
  readonly job: JobRow;
  /** The job is not among those that match the filter any more. */
  readonly isGone: boolean;
};

/** Rows kept at most while they keep their places. */
const KEPT_MAX = 400;

/** The rows after `answer`, the newest jobs first, when they need not keep their places. */
export function replaced(answer: readonly JobRow[]): readonly ShownJob[] {
  return answer.map((job) => ({ job, isGone: false }));
}

/** The rows after `answer`, when they keep their places. Older jobs are added at the end. */
export function heldRows(shown: readonly ShownJob[], answer: readonly JobRow[]): readonly ShownJob[] {
  const fresh = new Map(answer.map((job) => [job.id, job]));
  const oldest = answer.at(-1)?.id;
  const last = shown.at(-1)?.job.id;
  const kept = shown.map((row): ShownJob => {
    const job = fresh.get(row.job.id);
    if (job !== undefined) return { job, isGone: false };
    // An answer ends somewhere: about what is older than its last job it says nothing.
    return oldest !== undefined && row.job.id < oldest ? row : { ...row, isGone: true };
  });
  const older = last === undefined ? answer : answer.filter(({ id }) => id < last);
  return [...kept, ...replaced(older)].slice(0, KEPT_MAX);
}

/** How many jobs of `newest` are newer than `anchor`; and whether there may be more, since all of them are. */
export function newer(newest: readonly JobRow[], anchor: JobId): { readonly count: number; readonly isMore: boolean } {
  const count = newest.filter(({ id }) => id > anchor).length;
  return { count, isMore: count > 0 && count === newest.length };
}

/** The id after `id`: the jobs before it begin with `id` itself. */
export function idAfter(id: JobId): JobId {
  const next = (BigInt(`0x${id.replaceAll("-", "")}`) + 1n).toString(16).padStart(32, "0");
  return next.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5") as JobId;
}
