// The figures of several nodes as one.

import type { NodeStatus, PoolUsage, NodeStats } from "../forge/api";

export type Pool = { readonly name: string } & Readonly<PoolUsage>;

export type Totals = Omit<NodeStats, "databaseUp" | "database" | "figures"> & {
  /** How many nodes report: without any, nothing is known. */
  readonly reporting: number;
  /** Nodes whose database does not answer. */
  readonly databaseAway: readonly string[];
  readonly pools: readonly Pool[];
};

const POOLS = ["read", "write", "locks", "control"] as const;
const SUMS = ["sessions", "subscriptions", "queryGroups", "ticks", "calls", "errors", "inFlight"] as const;
const WORSTS = ["lastTickMs", "changeLagMs"] as const;

/** Counts are added; times are those of the slowest node. A node that does not report counts for nothing. */
export function totalsOf(nodes: readonly NodeStatus[]): Totals {
  const stats = nodes.flatMap((node) => (node.stats === null ? [] : [node.stats]));
  const sums = entriesOf(SUMS, (name) => stats.reduce((sum, one) => sum + one[name], 0));
  const worsts = entriesOf(WORSTS, (name) => stats.reduce((worst, one) => Math.max(worst, one[name]), 0));
  const databaseAway = nodes.filter((node) => node.stats?.databaseUp === false).map((node) => node.name);
  const usages = stats.flatMap((one) => (one.database === null ? [] : [one.database]));
  const pools = usages.length === 0 ? [] : POOLS.map((name) => ({ name, ...added(usages.map((usage) => usage[name])) }));
  return { ...sums, ...worsts, reporting: stats.length, databaseAway, pools };
}

function added(pools: readonly PoolUsage[]): PoolUsage {
  return entriesOf(["open", "lent", "waiting", "max"] as const, (name) => pools.reduce((sum, pool) => sum + pool[name], 0));
}

function entriesOf<Name extends string>(names: readonly Name[], of: (name: Name) => number): Record<Name, number> {
  // One entry for each of the names, and no other.
  return Object.fromEntries(names.map((name) => [name, of(name)])) as Record<Name, number>;
}
