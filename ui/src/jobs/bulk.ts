// Actions on all jobs that match a filter, which a job of the node carries out.

import type { BulkProgress, JobAction, JobMatches } from "../forge/api";
import { count, plural } from "../parts/format";
import { ACTIONS } from "./job";

/** More jobs than this are confirmed by a typed word. */
const TYPED_ABOVE = 100;

/** Whether the action has to be confirmed by a typed word. */
export function isTyped(jobs: number): boolean {
  return jobs > TYPED_ABOVE;
}

/** What the dry run has found, in sentences. */
export function matchesText(action: JobAction, { total, actionable }: Pick<JobMatches, "total" | "actionable">): string {
  if (total === 0) return "No job matches the filter.";
  const match = `${plural(total, "job matches", "jobs match")} the filter`;
  if (actionable === 0) return `${match}; none of them can be ${ACTIONS[action].done}.`;
  const changed = actionable === total ? (total === 1 ? "it" : "all of them") : `${count(actionable)} of them`;
  return `${match}; ${changed} can be ${ACTIONS[action].done}.`;
}

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
