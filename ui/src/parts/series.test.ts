import { expect, test } from "vitest";
import { POINTS_MAX, line, perSecond, append, type Series } from "./series";

test("a full series loses its oldest value", () => {
  let series: Series = [];
  for (let value = 0; value <= POINTS_MAX; value += 1) series = append(series, value);
  expect(series).toHaveLength(POINTS_MAX);
  expect(series[0]).toBe(1);
  expect(series.at(-1)).toBe(POINTS_MAX);
});

test("growth is per second, and a counter that restarted has not grown", () => {
  expect(perSecond({ atMs: 1_000, value: 10 }, { atMs: 1_250, value: 20 })).toBe(40);
  expect(perSecond({ atMs: 1_000, value: 10 }, { atMs: 2_000, value: 3 })).toBe(0);
  expect(perSecond({ atMs: 1_000, value: 10 }, { atMs: 1_000, value: 30 })).toBe(0);
});

test("a line ends at the right edge and stays within the height", () => {
  const path = line([0, 5, 10], 59, 12);
  expect(path).toBe("M57.0 11.0L58.0 6.0L59.0 1.0");
  expect(line([4], 59, 12)).toBe("");
  expect(line([0, 0], 59, 12)).toBe("M58.0 11.0L59.0 11.0");
});
