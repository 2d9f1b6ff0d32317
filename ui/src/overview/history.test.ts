import { expect, test } from "vitest";
import type { NodeId } from "../forge/api";
import { STATS, node } from "./cluster.fixture";
import { level, noHistory, recentOf, remembered } from "./history";
import { totalsOf } from "./totals";

function totals(calls: number, errors = 0) {
  return totalsOf([node("node-1", { stats: { ...STATS, calls, errors } })]);
}

test("counters become rates", () => {
  let history = remembered(noHistory(null), null, 1_000, totals(100));
  history = remembered(history, null, 1_500, totals(110, 1));
  expect(history.callRate).toEqual([20]);
  expect(history.errorRate).toEqual([2]);
  expect(recentOf(history)).toEqual({ calls: 10, errors: 1 });
});

test("the same answer twice counts once", () => {
  const history = remembered(noHistory(null), null, 1_000, totals(100));
  expect(remembered(history, null, 1_000, totals(100))).toBe(history);
});

test("another node begins anew", () => {
  const history = remembered(noHistory(null), null, 1_000, totals(100));
  expect(remembered(history, "node-1" as NodeId, 2_000, totals(7)).samples).toHaveLength(1);
});

test("only the last minute counts, and not across a restart", () => {
  let history = noHistory(null);
  for (let second = 0; second <= 90; second += 1) history = remembered(history, null, second * 1_000, totals(second * 10));
  expect(recentOf(history).calls).toBe(600);
  expect(recentOf(remembered(history, null, 91_000, totals(3))).calls).toBe(0);
});

test("the level is a mean of the newest", () => {
  expect(level([])).toBe(0);
  expect(level([100, 1, 2, 3], 3)).toBe(2);
});
