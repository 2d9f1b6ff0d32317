// How long jobs have waited for a worker, as bars.

import type { JobWaits } from "../forge/api";
import { duration } from "../parts/format";

export type Bar = { readonly label: string; readonly text: string; readonly share: number; readonly isLong: boolean };

/** Jobs that have waited for longer than this wait for long. */
const LONG_MS = 60_000;

/** The bars of the buckets: the longest one is as wide as the histogram. */
export function barsOf(waits: JobWaits): readonly Bar[] {
  const most = Math.max(1, ...waits.buckets.map(({ jobs }) => jobs.count));
  return waits.buckets.map(({ upToMs, jobs }, at) => ({
    label: upToMs === null ? `over ${duration(waits.buckets[at - 1]?.upToMs ?? 0)}` : `up to ${duration(upToMs)}`,
    text: `${jobs.count.toLocaleString("en")}${jobs.isMore ? "+" : ""}`,
    share: jobs.count / most,
    isLong: (upToMs === null || upToMs > LONG_MS) && jobs.count > 0,
  }));
}
