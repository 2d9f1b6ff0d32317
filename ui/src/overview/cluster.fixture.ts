// A healthy cluster, of which each test changes a part.

import type { EndedTerm, LeaderInfo, NodeId, NodeInfo, NodeStatus, ClusterOverview, NodeStats } from "../forge/api";

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
  changeLagAgeMs: 200,
  calls: 1_000,
  errors: 0,
  inFlight: 1,
  databaseUp: true,
  database: { write: POOL, read: POOL, live: POOL, jobs: POOL, locks: POOL, control: POOL },
  election: { leaseMs: 3_000, obstacle: null },
  figures: [],
};

export function node(name: string, change: Partial<NodeStatus> = {}): NodeStatus {
  const life = { state: "active", startedAt: AT, seenAt: AT, endedAt: null, lost: false, here: false, stats: STATS, statsAgeMs: 0 } as const;
  return { ...life, id: name as NodeId, name, roles: ["gateway"], version: "0.1.0", address: null, peers: [], ...change };
}

export function overview(change: Partial<ClusterOverview> = {}): ClusterOverview {
  const jobs = { pending: 0, running: 0, retry: 0, failed: 0, isMore: false };
  const application = { name: "taskboard", version: "0.1.0", environment: "development" };
  return { at: AT, application, nodes: [node("node-1"), node("node-2")], ended: [], jobs, crashes24h: 0, events: [], ...change };
}

/** A process that ended and whose name came back, or not. */
export function endedNode(name: string, change: Partial<NodeInfo> = {}): NodeInfo {
  const times = { startedAt: "2026-11-21T10:00:00Z", seenAt: "2026-11-21T11:30:00Z", endedAt: "2026-11-21T11:30:00Z" };
  return { ...times, id: `${name}-before` as NodeId, name, state: "dead", roles: [], address: null, meshAddress: null, version: "0.1.0", protocol: 1, lost: false, ...change };
}

export function leader(change: Partial<LeaderInfo> = {}): LeaderInfo {
  const term = { epoch: 12, nodeId: "node-1" as NodeId, nodeName: "node-1", electedAt: "2026-11-21T10:00:00Z" };
  return { ...term, name: "maintenance", state: "leading", renewedAt: AT, resignedAt: null, ...change };
}

export function ended(change: Partial<EndedTerm> = {}): EndedTerm {
  const term = { epoch: 11, nodeId: "node-2" as NodeId, nodeName: "node-2", electedAt: "2026-11-21T10:59:00Z" };
  return { ...term, name: "maintenance", renewedAt: "2026-11-21T11:58:59Z", endedAt: "2026-11-21T11:59:00Z", reason: "resigned", ...change };
}
