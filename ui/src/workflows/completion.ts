// What can be written next into the filter of runs.

import type { WorkflowTotals } from "../forge/api";
import { type Completion, type Hints, complete, containing, further, plain } from "../parts/completion";
import { ENDED, type FIELDS, LIVE } from "./query";
import { STATUSES } from "./run";

const HINTS: Hints<(typeof FIELDS)[number]> = {
  fields: {
    status: "any of these: failed,diverged; live; ended",
    workflow: "the workflow",
    version: "the version that it has",
    key: "the id that the start has given",
    id: "the run with this id",
    parent: "the children of this run",
    from: "started then or later: 2026-11-30T14:05",
    before: "started before then",
  },
  prefix: { text: "attribute.", hint: "an attribute: attribute.plan:gold" },
};

/** The completion of `query` at the caret. Of the versions those are offered that have runs. */
export function completeRuns(query: string, caret: number, versions: WorkflowTotals["versions"]): Completion {
  return complete(query, caret, HINTS, (field, typed) => {
    switch (field) {
      case "status":
        return further(typed, [LIVE, ENDED, ...STATUSES]);
      case "workflow":
        return containing(typed, plain([...new Set(versions.map(({ workflow }) => workflow))]));
      case "version":
        return containing(typed, plain([...new Set(versions.map(({ version }) => version))].sort((a, b) => a - b).map(String)));
      case "key":
      case "id":
      case "parent":
      case "from":
      case "before":
        return [];
    }
  });
}
