// How far an action is on all jobs that match a filter.

import type { BulkProgress } from "../forge/api";
import { count, plural } from "../parts/format";
import { ACTIONS } from "./job";

/** The share of a bulk that is done; null when it is not known how much there is to do. */
export function shareOf(bulk: Pick<BulkProgress, "expected" | "done" | "skipped" | "endedAt">): number | null {
  if (bulk.endedAt !== null) return 1;
  if (bulk.expected === null || bulk.expected === 0) return null;
  return Math.min((bulk.done + bulk.skipped) / bulk.expected, 1);
}

/** "4,500 of 10,000 jobs retried, 3 could not be changed any more". */
export function progressText(bulk: Pick<BulkProgress, "action" | "expected" | "done" | "skipped">): string {
  const of = bulk.expected === null ? plural(bulk.done, "job") : `${count(bulk.done)} of ${plural(bulk.expected, "job")}`;
  const skipped = bulk.skipped === 0 ? "" : `, ${count(bulk.skipped)} could not be changed any more`;
  return `${of} ${ACTIONS[bulk.action].done}${skipped}`;
}
