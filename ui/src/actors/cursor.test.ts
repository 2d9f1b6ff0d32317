import { expect, test } from "vitest";
import { type Move, target } from "./cursor";
import { FOLDED_MAX, toggled } from "./folding";

test.each<[Move, number | null, number]>([
  ["down", null, 0],
  ["up", null, 0],
  ["down", 4, 5],
  ["down", 99, 99],
  ["up", 0, 0],
  ["pageDown", 4, 34],
  ["pageDown", 90, 99],
  ["pageUp", 4, 0],
  ["first", 50, 0],
  ["last", 50, 99],
])("%s from %s leads to %d", (move, from, to) => expect(target(move, from, 100, 30)).toBe(to));

test("an empty table has its cursor at the start", () => expect(target("last", null, 0, 30)).toBe(0));

test("folding twice unfolds, and the number of folded branches is limited", () => {
  expect(toggled(["a:b"], "c:d")).toEqual(["a:b", "c:d"]);
  expect(toggled(["a:b", "c:d"], "a:b")).toEqual(["c:d"]);
  const many = Array.from({ length: FOLDED_MAX }, (_, index) => `a:${index}`);
  expect(toggled(many, "a:new")).toHaveLength(FOLDED_MAX);
});
