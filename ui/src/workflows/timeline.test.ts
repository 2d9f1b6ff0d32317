import { expect, test } from "vitest";
import type { WorkflowStep } from "../forge/api";
import { ticksOf } from "./scale";
import { axisOf, barOf, depthOf, needsAttention, rangeOf, shownText } from "./timeline";

const START = Date.parse("2026-11-29T12:00:00Z");
const DAY = 86_400_000;
const RUN = { status: "running", createdAt: at(0), finishedAt: null } as const;

function at(ms: number): string {
  return new Date(START + ms).toISOString();
}

function step(fromMs: number, toMs: number | null, change: Partial<WorkflowStep> = {}): WorkflowStep {
  return {
    position: "1",
    compensates: null,
    kind: "call",
    status: toMs === null ? "running" : "completed",
    name: "account",
    attempts: 1,
    number: null,
    input: null,
    inputBytes: null,
    output: null,
    outputBytes: null,
    error: null,
    failedAttempts: [],
    startedAt: at(fromMs),
    finishedAt: toMs === null ? null : at(toMs),
    attemptAt: null,
    dueAt: null,
    event: null,
    eventKey: null,
    awaits: null,
    ...change,
  };
}

test("the bar of a step that is under way grows, and an interrupted one is not under way", () => {
  const steps = [step(0, null, { attemptAt: at(500), attempts: 2 }), step(0, null, { status: "interrupted", attemptAt: at(0) })];
  const axis = axisOf([START, START + 4_000], steps, false);
  const bars = (nowMs: number) => steps.map((one) => barOf(one, axis, START + nowMs)).map(({ width, look, isOpen }) => [width, look, isOpen]);
  expect(bars(1_000)[0]).toEqual([0.25, "work", true]);
  expect(bars(2_000)[0]).toEqual([0.5, "work", true]);
  expect(bars(2_000)[1]).toEqual([0.5, "idle", false]);
});

test("bars lie to scale between the start of the run and now", () => {
  const steps = [step(0, 100), step(100, null, { kind: "event", status: "waiting" })];
  const range = rangeOf(RUN, steps, false, START + 1_000);
  const axis = axisOf(range, steps, false);
  const bars = steps.map((one) => barOf(one, axis, START + 1_000));
  expect(bars.map(({ left, width, look, isOpen }) => [left, width, look, isOpen])).toEqual([
    [0, 0.1, "work", false],
    [0.1, 0.9, "wait", true],
  ]);
  expect(ticksOf(axis, 2, START - 1_000)).toEqual([
    { share: 0, sinceMs: 1_000 },
    { share: 0.5, sinceMs: 1_500 },
    { share: 1, sinceMs: 2_000 },
  ]);
});

test("a step of milliseconds is seen beside a wait of days", () => {
  const steps = [step(0, 20), step(20, 20 + 30 * DAY, { kind: "sleep" }), step(20 + 30 * DAY, 50 + 30 * DAY)];
  const range = rangeOf({ ...RUN, finishedAt: at(50 + 30 * DAY) }, steps, false, START + 60 * DAY);
  const widths = (isEven: boolean) => steps.map((one) => barOf(one, axisOf(range, steps, isEven), START).width);
  expect(widths(false)[0]).toBeLessThan(0.000_001);
  for (const width of widths(true)) expect(width).toBeGreaterThan(0.1);
  expect(widths(true).reduce((sum, width) => sum + width, 0)).toBeCloseTo(1);
});

test("a part of a long journal is shown from its first to its last step, and so is a run that stands still", () => {
  const steps = [step(5_000, 6_000), step(6_000, 7_000)];
  expect(rangeOf(RUN, steps, true, START + DAY)).toEqual([START + 5_000, START + 7_000]);
  expect(rangeOf(RUN, steps, false, START + DAY)).toEqual([START, START + DAY]);
  expect(rangeOf(RUN, [], false, START)).toEqual([START, START + 1]);
  expect(rangeOf({ ...RUN, status: "diverged" }, steps, false, START + DAY)).toEqual([START, START + 7_000]);
});

test("a bar shows how its step has ended, and which attempts have failed", () => {
  const failed = [{ at: at(250), error: { code: "INTERNAL", message: "no" } }];
  const steps = [step(0, 1_000, { failedAttempts: failed }), step(0, 10, { status: "failed" }), step(0, 10, { kind: "compensation", position: "-1", compensates: "1" })];
  const bars = steps.map((one) => barOf(one, axisOf([START, START + 1_000], steps, false), START));
  expect(bars.map(({ look, marks }) => [look, ...marks])).toEqual([["work", 0.25], ["failed"], ["undo"]]);
  expect([...steps, step(0, 1)].map(needsAttention)).toEqual([true, true, true, false]);
});

test("branches are indented, and it is said how many steps are shown", () => {
  expect(["4", "5.0.1", "-5.1.2", "5.0.2.1.1"].map(depthOf)).toEqual([0, 1, 1, 2]);
  const steps = Array.from({ length: 1_000 }, () => step(0, 1));
  expect(shownText({ steps, stepsBefore: 1_000 }, 1_000, 2_000)).toBe("1,001 to 2,000 of 2,000 steps");
  expect(shownText({ steps, stepsBefore: 0 }, 3, 2_000)).toBe("1 to 1,000 of 2,000 steps; 3 of them shown");
  expect(shownText({ steps: steps.slice(0, 1), stepsBefore: 0 }, 1, 1)).toBe("1 step");
});
