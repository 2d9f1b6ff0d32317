import { expect, test } from "vitest";
import { isTyped, matchesText } from "./bulk";

test("the dry run in words", () => {
  expect(matchesText("job", "retried", { total: 0, actionable: 0 })).toBe("No job matches the filter.");
  expect(matchesText("job", "retried", { total: 1, actionable: 1 })).toBe("1 job matches the filter; it can be retried.");
  expect(matchesText("job", "retried", { total: 9_998, actionable: 9_998 })).toBe("9,998 jobs match the filter; all of them can be retried.");
  expect(matchesText("job", "cancelled", { total: 12_000, actionable: 3 })).toBe("12,000 jobs match the filter; 3 of them can be cancelled.");
  expect(matchesText("job", "discarded", { total: 5, actionable: 0 })).toBe("5 jobs match the filter; none of them can be discarded.");
});

test("many jobs are confirmed by a typed word", () => {
  expect(isTyped(100)).toBe(false);
  expect(isTyped(101)).toBe(true);
});
