import { expect, test } from "vitest";
import { bounded, ago, duration, list, plural, rate, short, span } from "./format";

test.each([
  [0.42, "0.4 ms"],
  [3, "3 ms"],
  [412.4, "412 ms"],
  [3_200, "3.2 s"],
  [12_900, "12 s"],
  [252_000, "4 min 12 s"],
  [3_600_000, "1 h"],
  [11_040_000, "3 h 4 min"],
  [1_047_600_000, "12 d 3 h"],
])("%d ms is written %s", (ms, text) => expect(duration(ms)).toBe(text));

test("a span has no tenths of seconds", () => {
  expect(span(400)).toBe("0 s");
  expect(span(3_900)).toBe("3 s");
  expect(ago(300)).toBe("now");
  expect(ago(12_000)).toBe("12 s ago");
});

test("figures fit their columns", () => {
  expect(short(99_999)).toBe("99,999");
  expect(short(123_456)).toBe("123k");
  expect(short(4_560_000)).toBe("4.5M");
  expect(rate(0)).toBe("0");
  expect(rate(0.04)).toBe("<0.1");
  expect(rate(3)).toBe("3");
  expect(rate(3.44)).toBe("3.4");
  expect(rate(3_400)).toBe("3,400");
});

test("plurals and lists", () => {
  expect(plural(1, "job")).toBe("1 job");
  expect(plural(1_200, "job")).toBe("1,200 jobs");
  expect(list(["a"])).toBe("a");
  expect(list(["a", "b", "c"])).toBe("a, b and c");
});

test("counts that end somewhere", () => {
  expect(bounded({ count: 5_000, isMore: true })).toBe("5,000+");
  expect(bounded({ count: 0, isMore: true })).toBe("?");
});
