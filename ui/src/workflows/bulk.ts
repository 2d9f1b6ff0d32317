// What a bulk of runs has done.

import { count, plural } from "../parts/format";

/** The result of the job of a bulk, in words: "3 runs changed, 1 could not be changed any more"; null while there is none. */
export function countsText(result: string | null): string | null {
  const counts: unknown = result === null ? null : JSON.parse(result);
  if (typeof counts !== "object" || counts === null || !("done" in counts) || !("skipped" in counts)) return null;
  const { done, skipped } = counts;
  if (typeof done !== "number" || typeof skipped !== "number") return null;
  return `${plural(done, "run")} changed${skipped === 0 ? "" : `, ${count(skipped)} could not be changed any more`}`;
}
