// The tabs of the list of runs: a tab is a short way to write the statuses into the filter.

import type { BoundedCount, WorkflowFilter, WorkflowStatus, WorkflowTotals } from "../forge/api";
import { withTerms } from "../parts/terms";
import { GRAMMAR, LIVE } from "./query";
import { STATUSES, statusOfRun } from "./run";

/** `statuses` are counted; `term` is what the filter says; `isLoud`: its runs need a person. */
export type RunTab = { readonly label: string; readonly term: string; readonly statuses: readonly WorkflowStatus[]; readonly isLoud: boolean };

const LOUD: readonly WorkflowStatus[] = ["paused", "diverged", "compensation_failed"];
const LIVE_STATUSES = STATUSES.slice(0, STATUSES.indexOf("completed"));

export const TABS: readonly RunTab[] = [
  { label: "All", term: "", statuses: [], isLoud: false },
  { label: "Live", term: `status:${LIVE}`, statuses: LIVE_STATUSES, isLoud: false },
  ...STATUSES.map((status) => ({ label: capital(statusOfRun(status).word), term: `status:${status}`, statuses: [status], isLoud: LOUD.includes(status) })),
];

/** Whether a filter shows what the tab shows, apart from its other fields. */
export function isOpen(tab: RunTab, filter: Pick<WorkflowFilter, "statuses" | "isEnded">): boolean {
  const statuses = filter.statuses ?? [];
  const isLive = tab.term === `status:${LIVE}`;
  if ((filter.isEnded ?? null) !== (isLive ? false : null)) return false;
  const wanted = isLive ? [] : tab.statuses;
  return wanted.length === statuses.length && wanted.every((status) => statuses.includes(status));
}

/** The text of the filter when the tab is opened. */
export function opened(tab: RunTab, query: string): string {
  return withTerms(query, GRAMMAR, ["status"], tab.term);
}

/** How many runs a tab has, without the other fields of the filter; null for all of them. */
export function countOf(tab: RunTab, totals: WorkflowTotals): BoundedCount | null {
  if (tab.statuses.length === 0) return null;
  const counts = totals.statuses.filter(({ status }) => tab.statuses.includes(status)).map(({ count }) => count);
  return { count: counts.reduce((sum, { count }) => sum + count, 0), isMore: counts.some(({ isMore }) => isMore) };
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
