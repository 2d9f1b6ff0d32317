// A healthy cluster, of which each test changes a part.

import type { EndedTerm, LeaderInfo, NodeId, NodeStatus, ClusterOverview, NodeStats } from "../forge/api";

export const AT = "2026-11-21T12:00:00Z";
export const NOW = Date.parse(AT);

const POOL = { open: 2, lent: 1, waiting: 0, max: 8 };

export const STATS: NodeStats = {
  sessions: 4,
  subscriptions: 12,
  queryGroups: 3,
  ticks: 100,
  lastTickMs: 1,
  changeLagMs: 3,
  calls: 1_000,
  errors: 0,
  inFlight: 1,
  databaseUp: true,
  database: { write: POOL, read: POOL, locks: POOL, control: POOL },
  election: { leaseMs: 3_000, obstacle: null },
  figures: [],
};

export function node(name: string, change: Partial<NodeStatus> = {}): NodeStatus {
  const life = { state: "active", startedAt: AT, seenAt: AT, here: false, stats: STATS } as const;
  return { ...life, id: name as NodeId, name, roles: ["gateway"], version: "0.1.0", address: null, peers: [], ...change };
}

export function overview(change: Partial<ClusterOverview> = {}): ClusterOverview {
  const jobs = { pending: 0, running: 0, retry: 0, failed: 0 };
  return { at: AT, nodes: [node("node-1"), node("node-2")], jobs, crashes24h: 0, events: [], ...change };
}

export function leader(change: Partial<LeaderInfo> = {}): LeaderInfo {
  const term = { epoch: 12, nodeId: "node-1" as NodeId, nodeName: "node-1", electedAt: "2026-11-21T10:00:00Z" };
  return { ...term, name: "maintenance", state: "leading", renewedAt: AT, resignedAt: null, ...change };
}

export function ended(change: Partial<EndedTerm> = {}): EndedTerm {
  const term = { epoch: 11, nodeId: "node-2" as NodeId, nodeName: "node-2", electedAt: "2026-11-21T10:59:00Z" };
  return { ...term, name: "maintenance", renewedAt: "2026-11-21T11:58:59Z", endedAt: "2026-11-21T11:59:00Z", reason: "resigned", ...change };
}
