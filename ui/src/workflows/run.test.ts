import { expect, test } from "vitest";
import type { WorkflowAction, WorkflowRequest, WorkflowStatus } from "../forge/api";
import { STATUSES, can, canRetryFrom, hasNoCode, plainJson, requestText, statusOfRun, whenText } from "./run";

const NOW = Date.parse("2026-11-29T12:00:00Z");
const EARLIER = "2026-11-29T11:57:00Z";

function when(status: WorkflowStatus, dueAt: string | null, finishedAt: string | null = null): string {
  return whenText({ status, dueAt, createdAt: "2026-11-29T11:00:00Z", finishedAt }, NOW);
}

test("no two statuses look the same without their colours", () => {
  const looks = STATUSES.map(statusOfRun).map(({ shape, word }) => `${shape} ${word}`);
  expect(new Set(looks).size).toBe(12);
});

test("the time that matters", () => {
  expect(when("completed", null, "2026-11-29T11:59:48Z")).toBe("12 s ago");
  expect(when("running", EARLIER)).toBe("started 1 h ago");
  expect(when("waiting", "2026-11-29T16:00:00Z")).toBe("4 h left");
  expect(when("waiting", null)).toBe("without a time limit");
  expect(when("ready", EARLIER)).toBe("for 3 min");
  expect(when("diverged", EARLIER)).toBe("started 1 h ago");
});

test("what can be done with a run", () => {
  const of = (action: WorkflowAction, request: WorkflowRequest | null = null) => STATUSES.filter((status) => can(action, { status, request }));
  expect(of("retry")).toEqual(["diverged", "compensation_failed", "failed", "cancelled", "terminated"]);
  expect(of("cancel")).toEqual(["ready", "running", "waiting", "paused", "diverged"]);
  expect(of("cancel", "cancel")).toEqual([]);
  expect(of("pause")).toEqual(["ready", "running", "waiting"]);
  expect(of("pause", "pause")).toEqual([]);
  expect(can("resume", { status: "running", request: "pause" })).toBe(true);
  expect(of("terminate")).toEqual(STATUSES.slice(0, 7));
  expect(STATUSES.filter((status) => canRetryFrom({ status }))).toEqual(["failed", "cancelled", "terminated"]);
});

test("a request says who carries it out", () => {
  expect(requestText({ status: "running", request: "pause", node: "ana" })).toBe("ana pauses it when the steps that are under way have ended.");
  expect(requestText({ status: "waiting", request: "cancel", node: null })).toBe("The next node that takes it takes back what it has completed, and ends it.");
  expect(requestText({ status: "diverged", request: "cancel", node: null })).toContain("code that fits its journal");
  expect(requestText({ status: "running", request: null, node: null })).toBeNull();
});

test("a run without code is one that has not ended", () => {
  const missing = [{ workflow: "gone.flow", version: 1 }];
  const run = { workflow: "gone.flow", version: 1, finishedAt: null };
  expect(hasNoCode(run, missing)).toBe(true);
  expect(hasNoCode({ ...run, version: 2 }, missing)).toBe(false);
  expect(hasNoCode({ ...run, finishedAt: EARLIER }, missing)).toBe(false);
});

test("ids are shown without the quotes of their JSON", () => {
  expect(plainJson('"user-7"')).toBe("user-7");
  expect(plainJson('["onboard",12345678901234567890]')).toBe('["onboard",12345678901234567890]');
});
