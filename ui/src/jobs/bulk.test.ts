import { expect, test } from "vitest";
import { isTyped, matchesText, progressText, shareOf } from "./bulk";

test("the dry run in words", () => {
  expect(matchesText("retry", { total: 0, actionable: 0 })).toBe("No job matches the filter.");
  expect(matchesText("retry", { total: 1, actionable: 1 })).toBe("1 job matches the filter; it can be retried.");
  expect(matchesText("retry", { total: 9_998, actionable: 9_998 })).toBe("9,998 jobs match the filter; all of them can be retried.");
  expect(matchesText("cancel", { total: 12_000, actionable: 3 })).toBe("12,000 jobs match the filter; 3 of them can be cancelled.");
  expect(matchesText("discard", { total: 5, actionable: 0 })).toBe("5 jobs match the filter; none of them can be discarded.");
});

test("many jobs are confirmed by a typed word", () => {
  expect(isTyped(100)).toBe(false);
  expect(isTyped(101)).toBe(true);
});

test("the progress of a bulk", () => {
  const bulk = { action: "retry", expected: 10_000, done: 4_500, skipped: 500, endedAt: null } as const;
  expect(shareOf(bulk)).toBe(0.5);
  expect(progressText(bulk)).toBe("4,500 of 10,000 jobs retried, 500 could not be changed any more");
  expect(shareOf({ ...bulk, expected: null })).toBeNull();
  expect(shareOf({ ...bulk, expected: null, endedAt: "2026-11-29T12:00:00Z" })).toBe(1);
  expect(progressText({ ...bulk, expected: null, skipped: 0, done: 1 })).toBe("1 job retried");
});
