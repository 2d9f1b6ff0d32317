import { expect, test } from "vitest";
import { STATS, node } from "./cluster.fixture";
import { totalsOf } from "./totals";

test("counts are added, and times are those of the slowest node", () => {
  const slow = node("node-2", { stats: { ...STATS, lastTickMs: 9, changeLagMs: 2 } });
  const totals = totalsOf([node("node-1"), slow]);
  expect(totals).toMatchObject({ sessions: 8, subscriptions: 24, calls: 2_000, lastTickMs: 9, changeLagMs: 3, databaseUnreachable: [] });
  expect(totals.pools[0]).toEqual({ name: "read", open: 4, lent: 2, waiting: 0, max: 16 });
});

test("a node of the version before, which does not report the pool of live queries, adds nothing to it", () => {
  const { database } = STATS;
  const older = node("node-2", { stats: { ...STATS, database: database && { ...database, live: null } } });
  const live = (nodes: Parameters<typeof totalsOf>[0]) => totalsOf(nodes).pools.find((pool) => pool.name === "live");
  expect(live([node("node-1"), older])).toEqual({ name: "live", open: 2, lent: 1, waiting: 0, max: 8 });
  expect(live([older])).toBeUndefined();
});

test("a node that does not report is left out", () => {
  expect(totalsOf([node("node-1"), node("node-2", { stats: null })])).toMatchObject({ sessions: 4, reporting: 1 });
  expect(totalsOf([]).pools).toEqual([]);
});

test("the nodes that do not reach the database are named", () => {
  const away = { ...STATS, databaseUp: false, database: null };
  expect(totalsOf([node("node-1", { stats: away }), node("node-2")]).databaseUnreachable).toEqual(["node-1"]);
});
