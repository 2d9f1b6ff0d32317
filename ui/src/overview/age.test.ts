import { expect, test } from "vitest";
import { isOld, oldFigures } from "./age";
import { node } from "./cluster.fixture";

test("figures are old once the pace of the reports does not explain their age", () => {
  expect([isOld(null), isOld(2_500), isOld(2_501)]).toEqual([false, false, true]);
});

test("a sum names the nodes whose part is old", () => {
  expect(oldFigures([node("node-1"), node("node-2", { statsAgeMs: 900 })])).toBeNull();
  expect(oldFigures([node("node-1"), node("node-2", { statsAgeMs: 4_200 }), node("node-3", { stats: null, statsAgeMs: null })])).toBe(
    "with figures of node-2 from 4 s ago",
  );
});
