import { expect, test } from "vitest";
import type { NodeId, ClusterOverview } from "../forge/api";
import { NOW, STATS, node, overview } from "./cluster.fixture";
import { type RecentCalls, healthOf } from "./health";

const QUIET: RecentCalls = { calls: 0, errors: 0 };

function texts(change: Partial<ClusterOverview>, recent = QUIET): string[] {
  return healthOf(overview(change), recent, NOW).reasons.map((reason) => reason.text);
}

function level(change: Partial<ClusterOverview>, recent = QUIET): string {
  return healthOf(overview(change), recent, NOW).level;
}

test("a cluster without reasons is healthy", () => {
  expect(healthOf(overview(), QUIET, NOW)).toEqual({ level: "healthy", word: "Healthy", reasons: [] });
});

test("a node that was not seen and failed jobs degrade the health", () => {
  const nodes = [node("node-1"), node("node-2", { seenAt: "2026-11-21T11:59:48Z" })];
  const jobs = { ...overview().jobs, failed: 3 };
  expect(texts({ nodes, jobs })).toEqual(["node-2 has sent no heartbeat for 12 s", "3 jobs ended without success in the last 24 h"]);
  expect(level({ nodes, jobs })).toBe("degraded");
});

test("a cluster is down when no node is active with a database", () => {
  const away = node("node-1", { stats: { ...STATS, databaseUp: false } });
  expect(level({ nodes: [away] })).toBe("down");
  expect(texts({ nodes: [away] })).toEqual(["node-1 cannot reach the database"]);
  expect(level({ nodes: [away, node("node-2")] })).toBe("degraded");
  expect(level({ nodes: [node("node-1", { state: "draining" })] })).toBe("down");
});

test("calls that wait for a connection of a pool degrade the health", () => {
  const full = { open: 8, lent: 8, waiting: 2, max: 8 };
  const stats = { ...STATS, database: { write: full, read: { ...full, waiting: 0 }, live: full, jobs: full, locks: full, control: full } };
  expect(texts({ nodes: [node("node-1", { stats })] })).toEqual(["2 calls on node-1 wait for a write connection: 8 of 8 are in use"]);
});

test("a node that cannot lead says why", () => {
  const election = { leaseMs: 3_000, obstacle: "a transaction pooler" };
  expect(texts({ nodes: [node("node-1", { stats: { ...STATS, election } })] })).toEqual(["leader election disabled on node-1: a transaction pooler"]);
  expect(level({ nodes: [node("node-1", { stats: { ...STATS, election } })] })).toBe("degraded");
  expect(level({ nodes: [node("node-1", { stats: { ...STATS, election: null } })] })).toBe("healthy");
});

test("a missing link is one reason for both nodes, and none for a dead node", () => {
  const cut = (name: string) => {
    const peer = { node: name as NodeId, name, address: "", linked: false, since: null, rttMs: null, queue: 0, dropped: 0, error: "refused" };
    return { peers: [peer] };
  };
  expect(texts({ nodes: [node("node-1", cut("node-2")), node("node-2", cut("node-1"))] })).toEqual([
    "no mesh link between node-1 and node-2 (refused): changes cross by polling, a little later",
  ]);
  const lost = node("node-2", { state: "dead", lost: true, seenAt: "2026-11-21T11:55:00Z" });
  expect(texts({ nodes: [node("node-1", cut("node-2")), lost] })).toEqual([
    "node-2 was lost: killed, frozen or cut off from the database; last heartbeat 5 min ago",
  ]);
});

test("a node that was lost long ago is only a note", () => {
  const lost = (seenAt: string) => [node("node-1"), node("node-2", { state: "dead", lost: true, seenAt })];
  expect(level({ nodes: lost("2026-11-21T11:50:00Z") })).toBe("degraded");
  expect(level({ nodes: lost("2026-11-21T11:00:00Z") })).toBe("healthy");
});

test("a node that stopped in order does not degrade the health", () => {
  const nodes = [node("node-1"), node("node-2", { state: "dead", endedAt: "2026-11-21T11:59:00Z", seenAt: "2026-11-21T11:59:00Z" })];
  expect(level({ nodes })).toBe("healthy");
  expect(texts({ nodes })).toEqual(["node-2 stopped in order 1 min ago"]);
});

test("a cluster that is down without a failed node says what its nodes do", () => {
  expect(texts({ nodes: [node("node-1", { state: "draining" })] })[0]).toBe("no node serves: all that run are draining");
  const stopped = node("node-1", { state: "dead", endedAt: "2026-11-21T11:59:00Z", seenAt: "2026-11-21T11:59:00Z" });
  expect(texts({ nodes: [stopped] })).toEqual(["no node runs", "node-1 stopped in order 1 min ago"]);
});

test("a lag that was measured long ago says nothing of now", () => {
  const nodes = [node("node-1", { stats: { ...STATS, changeLagMs: 9_000, changeLagAgeMs: 61_000 } })];
  expect(level({ nodes })).toBe("healthy");
});

test("change lag, missing reports and failed calls degrade the health", () => {
  expect(texts({ nodes: [node("node-1", { stats: { ...STATS, changeLagMs: 1_200 } })] })).toEqual(["live queries on node-1 show changes 1.2 s late; its last tick took 1 ms"]);
  expect(texts({ nodes: [node("node-1"), node("node-2", { stats: null })] })).toEqual(["node-2 answers no request for its figures"]);
  expect(texts({}, { calls: 100, errors: 12 })).toEqual(["12 % of the last minute's calls failed by the node's fault: panics, timeouts, internal errors"]);
  expect(level({}, { calls: 10, errors: 10 })).toBe("healthy");
});

test("notes do not degrade the health, and come last", () => {
  const nodes = [node("node-1", { version: "0.2.0" }), node("node-2", { state: "draining" })];
  expect(level({ nodes, crashes24h: 2 })).toBe("healthy");
  expect(texts({ nodes, crashes24h: 2, jobs: { ...overview().jobs, failed: 1 } })).toEqual([
    "1 job ended without success in the last 24 h",
    "node-2 is draining",
    "nodes run versions 0.1.0 and 0.2.0",
    "2 crashes in 24 h",
  ]);
});
