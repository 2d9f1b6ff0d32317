// The tabs of the list of jobs: a tab is a short way to write the statuses into the filter.

import type { BoundedCount, JobFilter, JobStatus, JobTotals, JobWait } from "../forge/api";
import { withTerms } from "../parts/terms";
import { GRAMMAR } from "./query";

export type Tab = { readonly label: string; readonly statuses: readonly JobStatus[]; readonly wait: JobWait | null };

export const TABS: readonly Tab[] = [
  { label: "All", statuses: [], wait: null },
  { label: "Due", statuses: [], wait: "due" },
  { label: "Scheduled", statuses: [], wait: "scheduled" },
  { label: "Blocked", statuses: [], wait: "blocked" },
  { label: "Running", statuses: ["claimed", "running"], wait: null },
  { label: "Retry", statuses: ["retry"], wait: null },
  { label: "Failed", statuses: ["failed"], wait: null },
  { label: "Dead letter", statuses: ["dead_letter"], wait: null },
  { label: "Cancelled", statuses: ["cancelled"], wait: null },
  { label: "Completed", statuses: ["completed"], wait: null },
];

/** Whether a filter shows what the tab shows, apart from its other fields. */
export function isOpen(tab: Tab, filter: Pick<JobFilter, "statuses" | "wait">): boolean {
  const statuses = filter.statuses ?? [];
  return tab.wait === (filter.wait ?? null) && tab.statuses.length === statuses.length && tab.statuses.every((status) => statuses.includes(status));
}

/** The text of the filter when the tab is opened. */
export function opened(tab: Tab, query: string): string {
  const terms = [...(tab.wait === null ? [] : [`wait:${tab.wait}`]), ...(tab.statuses.length === 0 ? [] : [`status:${tab.statuses.join(",")}`])];
  return withTerms(query, GRAMMAR, ["status", "wait"], terms.join(" "));
}

/** How many jobs a tab has, without the other fields of the filter; null for all of them. */
export function countOf(tab: Tab, totals: JobTotals): BoundedCount | null {
  if (tab.wait !== null) return totals[tab.wait];
  if (tab.statuses.length === 0) return null;
  const counts = totals.statuses.filter(({ status }) => tab.statuses.includes(status)).map(({ count }) => count);
  return { count: counts.reduce((sum, { count }) => sum + count, 0), isMore: counts.some(({ isMore }) => isMore) };
}
