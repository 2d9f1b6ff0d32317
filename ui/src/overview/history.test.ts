import { expect, test } from "vitest";
import type { NodeId } from "../forge/api";
import { STATS, node } from "./cluster.fixture";
import { recentMean, emptyHistory, recentCalls, withAnswer } from "./history";
import { totalsOf } from "./totals";

function totals(calls: number, errors = 0) {
  return totalsOf([node("node-1", { stats: { ...STATS, calls, errors } })]);
}

test("counters become rates", () => {
  let history = withAnswer(emptyHistory(null), null, 1_000, totals(100));
  history = withAnswer(history, null, 1_500, totals(110, 1));
  expect(history.callRate).toEqual([20]);
  expect(history.errorRate).toEqual([2]);
  expect(recentCalls(history)).toEqual({ calls: 10, errors: 1 });
});

test("an answer that was added before is ignored", () => {
  const history = withAnswer(emptyHistory(null), null, 1_000, totals(100));
  expect(withAnswer(history, null, 1_000, totals(100))).toBe(history);
});

test("an answer of another node begins a new history", () => {
  const history = withAnswer(emptyHistory(null), null, 1_000, totals(100));
  expect(withAnswer(history, "node-1" as NodeId, 2_000, totals(7)).samples).toHaveLength(1);
});

test("only the last minute counts, and no restarted counter", () => {
  let history = emptyHistory(null);
  for (let second = 0; second <= 90; second += 1) history = withAnswer(history, null, second * 1_000, totals(second * 10));
  expect(recentCalls(history).calls).toBe(600);
  expect(recentCalls(withAnswer(history, null, 91_000, totals(3))).calls).toBe(0);
});

test("the recent mean covers the newest points", () => {
  expect(recentMean([])).toBe(0);
  expect(recentMean([100, 1, 2, 3], 3)).toBe(2);
});
