// The appearance of a periodic duty.

import type { DutyInfo, DutyOutcome } from "../forge/api";
import { count, duration, span } from "../parts/format";
import type { Status } from "../parts/status";

/** Whether this node runs the duty, and since when a run is under way, by the clock of the node. */
export function statusOfDuty(duty: DutyInfo, nowMs: number): Status {
  if (!duty.leading) return { shape: "ring", tone: "dim", word: duty.elected ? "standby: this node is not the leader" : "not started" };
  if (duty.runningSince !== null) return { shape: "turn", tone: "ok", word: `runs for ${span(nowMs - Date.parse(duty.runningSince))}` };
  return { shape: "dot", tone: "ok", word: duty.elected ? "this node is the leader" : "every node runs it" };
}

/** How a run ended: "ok, 12 handled", "cut after 1 min". The error of a failed run is a text of its own. */
export function outcomeText(outcome: DutyOutcome): string {
  switch (outcome.is) {
    case "ok":
      return outcome.handled === 0 ? "ok, nothing to do" : `ok, ${count(outcome.handled)} handled`;
    case "failed":
      return "failed";
    case "timedOut":
      return `timed out after ${duration(outcome.limitMs)}`;
    case "cancelled":
      return "cancelled: the term ended";
  }
}

/** The tone of the result: a run that was cut because another node leads is no failure. */
export function outcomeTone(outcome: DutyOutcome): "bad" | "plain" {
  return outcome.is === "failed" || outcome.is === "timedOut" ? "bad" : "plain";
}
