import { expect, test } from "vitest";
import { ROWS_MAX, ROW_PX, drawn, offsetFor, scrollTo } from "./window";

test("draws what is visible and a little more, inside the table", () => {
  expect(drawn(0, 900, 10_000)).toEqual({ first: 0, end: 36 });
  expect(drawn(5_000 * ROW_PX, 900, 10_000)).toEqual({ first: 4_994, end: 5_036 });
  expect(drawn(9_990 * ROW_PX, 900, 10_000)).toEqual({ first: 9_984, end: 10_000 });
  expect(drawn(0, 900, 3)).toEqual({ first: 0, end: 3 });
  expect(drawn(9_000, 900, 0)).toEqual({ first: 0, end: 0 });
});

test("every drawn row is in the answer, at any place and up to a screen of 2,160 pixels", () => {
  for (const height of [300, 900, 2_160]) {
    for (let top = 0; top < 2_000 * ROW_PX; top += 137) {
      const span = drawn(top, height, 2_000);
      const offset = offsetFor(span);
      expect(offset).toBeLessThanOrEqual(span.first);
      expect(offset + ROWS_MAX).toBeGreaterThanOrEqual(span.end);
    }
  }
});

test("a short scroll asks for nothing new", () => {
  const offsets = new Set(Array.from({ length: 40 }, (_, row) => offsetFor(drawn((3_000 + row) * ROW_PX, 900, 10_000))));
  expect(offsets.size).toBeLessThanOrEqual(2);
});

test("scrolls as far as a row needs, and no further", () => {
  expect(scrollTo(5, 0, 900)).toBe(0);
  expect(scrollTo(2, 300, 900)).toBe(60);
  expect(scrollTo(40, 0, 900)).toBe(41 * ROW_PX - 900);
});
