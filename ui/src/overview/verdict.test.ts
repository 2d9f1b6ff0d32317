import { expect, test } from "vitest";
import type { NodeId, NodeInfo, Overview } from "../forge/api";
import { type Recent, verdictOf } from "./verdict";

const AT = "2026-11-21T12:00:00Z";
const NOW = Date.parse(AT);
const QUIET: Recent = { calls: 0, errors: 0 };

function node(name: string, change: Partial<NodeInfo> = {}): NodeInfo {
  const plain = { state: "active", roles: ["gateway"], version: "0.1.0", startedAt: AT, seenAt: AT, address: null } as const;
  return { ...plain, id: name as NodeId, name, roles: [...plain.roles], self: false, peers: [], ...change };
}

function overview(change: Partial<Overview> = {}): Overview {
  return {
    at: AT,
    nodes: [node("node-1"), node("node-2")],
    sessions: 1,
    subscriptions: 1,
    queryGroups: 1,
    ticks: 1,
    lastTickMs: 1,
    changeLagMs: 3,
    jobs: { pending: 0, running: 0, retry: 0, failed: 0 },
    functions: { calls: 0, errors: 0, inFlight: 0 },
    database: { state: "up", read: { open: 2, lent: 1, max: 8 }, write: { open: 1, lent: 0, max: 8 } },
    crashes24h: 0,
    events: [],
    ...change,
  };
}

function texts(change: Partial<Overview>, recent = QUIET): string[] {
  return verdictOf(overview(change), recent, NOW).reasons.map((reason) => reason.text);
}

function level(change: Partial<Overview>, recent = QUIET): string {
  return verdictOf(overview(change), recent, NOW).level;
}

test("nothing to say is healthy", () => {
  expect(verdictOf(overview(), QUIET, NOW)).toEqual({ level: "healthy", word: "Healthy", reasons: [] });
});

test("a node that is missed, and failed jobs", () => {
  const nodes = [node("node-1"), node("node-2", { seenAt: "2026-11-21T11:59:48Z" })];
  const jobs = { pending: 0, running: 0, retry: 0, failed: 3 };
  expect(texts({ nodes, jobs })).toEqual(["node-2 not seen for 12 s", "3 jobs failed"]);
  expect(level({ nodes, jobs })).toBe("degraded");
});

test("down: no database, or nobody who serves", () => {
  const away = { ...overview().database, state: "away" };
  expect(level({ database: away })).toBe("down");
  expect(texts({ database: away })).toEqual(["the database is away"]);
  expect(level({ nodes: [node("node-1", { state: "draining" })] })).toBe("down");
});

test("a pool without a free connection", () => {
  const database = { state: "up", read: { open: 8, lent: 8, max: 8 }, write: { open: 1, lent: 1, max: 8 } };
  expect(texts({ database })).toEqual(["all 8 read connections are lent"]);
});

test("a cut link is told once, and not for a node that is away", () => {
  const cut = (other: string) => ({ peers: [{ node: other as NodeId, state: "dialing", rttMs: null }] });
  expect(texts({ nodes: [node("node-1", cut("node-2")), node("node-2", cut("node-1"))] })).toEqual([
    "no link between node-1 and node-2: changes arrive by polling",
  ]);
  const dead = node("node-2", { state: "dead", seenAt: "2026-11-21T11:00:00Z" });
  expect(texts({ nodes: [node("node-1", cut("node-2")), dead] })).toEqual(["node-2 not seen for 1 h"]);
});

test("late changes, failing calls", () => {
  expect(texts({ changeLagMs: 1_200 })).toEqual(["changes arrive 1.2 s late"]);
  expect(texts({}, { calls: 100, errors: 12 })).toEqual(["12 % of the last minute's calls failed"]);
  expect(level({}, { calls: 10, errors: 10 })).toBe("healthy");
});

test("what is worth knowing does not spoil the verdict, and comes last", () => {
  const nodes = [node("node-1", { version: "0.2.0" }), node("node-2", { state: "draining" })];
  expect(level({ nodes, crashes24h: 2 })).toBe("healthy");
  expect(texts({ nodes, crashes24h: 2, changeLagMs: 2_000 })).toEqual([
    "changes arrive 2 s late",
    "node-2 is draining",
    "nodes run versions 0.1.0 and 0.2.0",
    "2 crashes in 24 h",
  ]);
});
