import { expect, test } from "vitest";
import type { DutyInfo } from "../forge/api";
import { outcomeText, outcomeTone, statusOfDuty } from "./duty";

const NOW = Date.parse("2026-11-21T12:00:00Z");
const DUTY: DutyInfo = { elected: true, leading: true, runningSince: null, lastRun: null, runs: 0, failures: 0, timedOut: 0 };

test("a duty says whether this node runs it", () => {
  expect(statusOfDuty(DUTY, NOW)).toMatchObject({ tone: "ok", word: "this node is the leader" });
  expect(statusOfDuty({ ...DUTY, leading: false }, NOW)).toMatchObject({ tone: "dim", word: "standby: this node is not the leader" });
  expect(statusOfDuty({ ...DUTY, elected: false }, NOW).word).toBe("every node runs it");
});

test("a run that is under way shows how long it has been", () => {
  expect(statusOfDuty({ ...DUTY, runningSince: "2026-11-21T11:59:57Z" }, NOW).word).toBe("runs for 3 s");
});

test("every outcome has its own text, and only failures are loud", () => {
  expect(outcomeText({ is: "ok", handled: 1_200 })).toBe("ok, 1,200 handled");
  expect(outcomeText({ is: "ok", handled: 0 })).toBe("ok, nothing to do");
  expect(outcomeText({ is: "timedOut", limitMs: 60_000 })).toBe("timed out after 1 min");
  expect(outcomeText({ is: "cancelled" })).toBe("cancelled: the term ended");
  expect([outcomeTone({ is: "failed", error: "no" }), outcomeTone({ is: "cancelled" })]).toEqual(["bad", "plain"]);
});
