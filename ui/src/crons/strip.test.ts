import { expect, test } from "vitest";
import type { CronSlot } from "../forge/api";
import { OUTCOMES, paths, shape, slotText, summary, ticks, unknownShare, worst } from "./strip";

const DAYS = { from: "2026-11-29T12:00:00Z", slotMs: 1_800_000, slots: 48 };

function slot(index: number, counts: Partial<CronSlot> = {}): CronSlot {
  return { index, completed: 0, late: 0, failed: 0, missed: 0, overlapped: 0, unfinished: 0, unknown: 0, ...counts };
}

test("the worst outcome stands for a slot", () => {
  expect(worst(slot(0, { completed: 28, late: 1, failed: 1 }))).toBe("failed");
  expect(worst(slot(0, { completed: 28, overlapped: 1, late: 1 }))).toBe("overlapped");
  expect(worst(slot(0))).toBeNull();
});

test("each outcome has a shape of its own", () => {
  const shapes = OUTCOMES.map((outcome) => shape(outcome, 0));
  expect(new Set(shapes).size).toBe(OUTCOMES.length);
});

test("a day has one path for each outcome", () => {
  const drawn = paths([slot(0, { completed: 3 }), slot(1, { failed: 1 }), slot(47, { completed: 2 })]);
  expect(drawn).toEqual([
    { outcome: "completed", path: "M1 10h6v10h-6zM377 10h6v10h-6z" },
    { outcome: "failed", path: "M9 0h6v20h-6z" },
  ]);
});

test("what went wrong in a part of a slot is above what went well", () => {
  expect(paths([slot(0, { completed: 28, failed: 2 })])).toEqual([
    { outcome: "failed", path: "M1 0h6v8h-6z" },
    { outcome: "completed", path: shape("completed", 0) },
  ]);
  expect(paths([slot(0, { late: 1, overlapped: 2 })]).map(({ outcome }) => outcome)).toEqual(["overlapped", "late"]);
});

test("the text names what the strip shows, the worst first", () => {
  expect(summary([slot(0, { completed: 1_400 }), slot(1, { completed: 38, failed: 2, missed: 60 })])).toBe("2 failed, 60 missed, 1,438 in time");
  expect(summary([])).toBe("no time came");
  expect(slotText(DAYS, slot(2, { overlapped: 1 }))).toMatch(/^\d\d:00 to \d\d:30: 1 overlapped$/);
});

test("what is not counted is a share of the strip", () => {
  expect(unknownShare(DAYS, { knownFrom: null })).toBe(0);
  expect(unknownShare(DAYS, { knownFrom: "2026-11-29T18:00:00Z" })).toBe(0.25);
  expect(unknownShare(DAYS, { knownFrom: "2026-11-28T18:00:00Z" })).toBe(0);
});

test("every sixth hour has a mark", () => {
  expect(ticks(DAYS).map(({ share }) => share)).toEqual([0, 0.25, 0.5, 0.75]);
});
