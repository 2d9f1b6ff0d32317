import { expect, test } from "vitest";
import { progressText, shareOf } from "./bulk";

test("the progress of a bulk", () => {
  const bulk = { action: "retry", expected: 10_000, done: 4_500, skipped: 500, endedAt: null } as const;
  expect(shareOf(bulk)).toBe(0.5);
  expect(progressText(bulk)).toBe("4,500 of 10,000 jobs retried, 500 could not be changed any more");
  expect(shareOf({ ...bulk, expected: null })).toBeNull();
  expect(shareOf({ ...bulk, expected: null, endedAt: "2026-11-29T12:00:00Z" })).toBe(1);
  expect(progressText({ ...bulk, expected: null, skipped: 0, done: 1 })).toBe("1 job retried");
});
