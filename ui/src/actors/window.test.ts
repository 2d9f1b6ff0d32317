import { expect, test } from "vitest";
import { ROWS_MAX, ROW_PX, drawn, offsetFor, recycled, scrollTo } from "./window";

test("the visible rows and a few more are drawn, within the table", () => {
  expect(drawn(0, 900, 10_000)).toEqual({ first: 0, end: 43 });
  expect(drawn(5_000 * ROW_PX, 900, 10_000)).toEqual({ first: 4_994, end: 5_037 });
  expect(drawn(9_990 * ROW_PX, 900, 10_000)).toEqual({ first: 9_957, end: 10_000 });
  expect(drawn(0, 900, 3)).toEqual({ first: 0, end: 3 });
  expect(drawn(9_000, 900, 0)).toEqual({ first: 0, end: 0 });
});

test("every drawn row is in the answer, at any position and up to a height of 2,160 pixels", () => {
  for (const height of [300, 900, 2_160]) {
    for (let top = 0; top < 2_000 * ROW_PX; top += 137) {
      const span = drawn(top, height, 2_000);
      const offset = offsetFor(span);
      expect(offset).toBeLessThanOrEqual(span.first);
      expect(offset + ROWS_MAX).toBeGreaterThanOrEqual(span.end);
    }
  }
});

test("a scroll by one row changes one entry", () => {
  const before = recycled({ first: 100, end: 143 });
  const after = recycled({ first: 101, end: 144 });
  expect([...before].sort((a, b) => a - b)).toEqual(Array.from({ length: 43 }, (_, at) => 100 + at));
  expect(before.filter((index, slot) => index !== after[slot])).toEqual([100]);
  expect(recycled({ first: 0, end: 0 })).toEqual([]);
});

test("a short scroll requests nothing new", () => {
  const offsets = new Set(Array.from({ length: 40 }, (_, row) => offsetFor(drawn((3_000 + row) * ROW_PX, 900, 10_000))));
  expect(offsets.size).toBeLessThanOrEqual(2);
});

test("the table scrolls only as far as needed", () => {
  expect(scrollTo(5, 0, 900)).toBe(0);
  expect(scrollTo(2, 300, 900)).toBe(60);
  expect(scrollTo(40, 0, 900)).toBe(41 * ROW_PX - 900);
});
