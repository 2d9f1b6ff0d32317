import { expect, test } from "vitest";
import type { StepKind, StepStatus, WorkflowWait } from "../forge/api";
import { attemptText, isStart, kindOf, statusOfStep, tookText, waitText } from "./step";

const NOW = Date.parse("2030-01-31T09:00:00Z");

function wait(kind: StepKind, change: Partial<WorkflowWait> = {}): string {
  const until = "2030-02-01T07:00:00Z";
  return waitText({ position: "4", name: "verified", kind, isRetry: false, event: "accounts.email_verified", key: '"user-7"', awaits: null, since: "2030-01-31T07:00:00Z", until, ...change }, NOW);
}

test("a wait is a sentence", () => {
  expect(wait("event")).toBe("waits for accounts.email_verified `user-7` since 2 h, times out in 22 h");
  expect(wait("event", { until: null, key: "7" })).toBe("waits for accounts.email_verified `7` since 2 h, without a time limit");
  expect(wait("sleep")).toBe("sleeps since 2 h, wakes in 22 h");
  expect(wait("sleep", { until: "2030-01-31T08:00:00Z" })).toBe("sleeps since 2 h, wakes in a moment");
  expect(wait("signal")).toBe("waits for the signal accounts.email_verified since 2 h, times out in 22 h");
  expect(wait("child", { until: null })).toBe("waits for the end of the child `verified` since 2 h, without a time limit");
  expect(wait("call", { isRetry: true, until: "2030-01-31T09:00:30Z" })).toBe("tries `verified` again in 30 s");
});

test("the state of a step is a word", () => {
  const word = (kind: StepKind, status: StepStatus) => statusOfStep({ kind, status, attempts: 3 }).word;
  expect([word("call", "running"), word("call", "retrying"), word("call", "skipped")]).toEqual(["running, attempt 3", "retrying, 3 failed", "failed, optional"]);
  expect(statusOfStep({ kind: "call", status: "running", attempts: 1 }).word).toBe("running");
  expect(word("call", "interrupted")).toBe("interrupted");
  expect([word("sleep", "waiting"), word("sleep", "completed"), word("event", "waiting"), word("event", "skipped")]).toEqual(["sleeping", "slept", "waiting", "timed out"]);
  expect([word("child", "waiting"), word("job", "waiting"), word("job", "abandoned")]).toEqual(["waits for the run", "waits for the job", "abandoned"]);
  expect([word("compensation", "running"), word("compensation", "completed"), word("compensation", "skipped")]).toEqual(["compensating, attempt 3", "compensated", "skipped by a person"]);
});

test("a step that has not ended takes until now, and none takes less than nothing", () => {
  expect(tookText({ startedAt: "2030-01-31T08:58:00Z", finishedAt: null }, NOW)).toBe("2 min");
  expect(tookText({ startedAt: "2030-01-31T08:58:00Z", finishedAt: "2030-01-31T08:58:00.012Z" }, NOW)).toBe("12 ms");
  expect(tookText({ startedAt: "2030-01-31T09:00:01Z", finishedAt: null }, NOW)).toBe("0 s");
});

test("a child has a row for its start, and one for the wait for its end", () => {
  const row = (kind: StepKind, output: string | null, awaits: string | null = "0199-7") => ({ kind, output, awaits, compensates: null });
  expect(kindOf(row("child", '{"kind":"new","run":"0199-7"}'))).toBe("starts a child");
  expect(kindOf(row("job", '{"kind":"new","job":"0199-7"}'))).toBe("starts a job");
  expect(kindOf(row("child", '{"run":"0199-8"}'))).toBe("child workflow");
  expect([isStart(row("child", "2")), isStart(row("child", null)), isStart(row("call", '{"run":"0199-7"}', null))]).toEqual([false, false, false]);
  expect(kindOf({ ...row("compensation", null), compensates: "4" })).toBe("takes back 4");
});

test("an attempt that is under way, or was interrupted, is a sentence", () => {
  const text = (status: StepStatus, attempts: number, attemptAt: string | null = "2030-01-31T08:59:48Z") => attemptText({ status, attempts, attemptAt }, NOW);
  expect(text("running", 2)).toBe("Under way since 12 s, attempt 2.");
  expect(text("interrupted", 1)).toBe("Attempt 1 was under way when its node was lost. It began 12 s ago, and is made again.");
  expect(text("retrying", 2, null)).toBeNull();
});
