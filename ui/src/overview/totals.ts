// The figures of several nodes, combined.

import type { NodeStatus, PoolUsage, NodeStats } from "../forge/api";

export type Pool = { readonly name: string } & Readonly<PoolUsage>;

export type Totals = Omit<NodeStats, "databaseUp" | "database" | "election" | "figures"> & {
  /** Number of nodes that report. With 0 the figures mean nothing. */
  readonly reporting: number;
  /** Names of the nodes that do not reach the database. */
  readonly databaseUnreachable: readonly string[];
  readonly pools: readonly Pool[];
};

const POOLS = ["read", "write", "live", "jobs", "locks", "control"] as const;
const SUMS = ["sessions", "subscriptions", "queryGroups", "ticks", "calls", "errors", "inFlight"] as const;
const MAXIMA = ["lastTickMs", "changeLagMs"] as const;

/** Adds the counts of all nodes, and takes the times of the slowest node, with the age of its lag. A node that does not report is left out. */
export function totalsOf(nodes: readonly NodeStatus[]): Totals {
  const stats = nodes.flatMap((node) => (node.stats === null ? [] : [node.stats]));
  const sums = entriesOf(SUMS, (name) => stats.reduce((sum, one) => sum + one[name], 0));
  const maxima = entriesOf(MAXIMA, (name) => stats.reduce((max, one) => Math.max(max, one[name]), 0));
  const databaseUnreachable = nodes.filter((node) => node.stats?.databaseUp === false).map((node) => node.name);
  const usages = stats.flatMap((one) => (one.database === null ? [] : [one.database]));
  // A node of the version before does not report all pools.
  const pools = POOLS.flatMap((name) => {
    const reported = usages.flatMap((usage) => usage[name] ?? []);
    return reported.length === 0 ? [] : [{ name, ...sumOf(reported) }];
  });
  const slowest = stats.find((one) => one.changeLagMs === maxima.changeLagMs);
  return { ...sums, ...maxima, changeLagAgeMs: slowest?.changeLagAgeMs ?? null, reporting: stats.length, databaseUnreachable, pools };
}

function sumOf(pools: readonly PoolUsage[]): PoolUsage {
  return entriesOf(["open", "lent", "waiting", "max"] as const, (name) => pools.reduce((sum, pool) => sum + pool[name], 0));
}

function entriesOf<Name extends string>(names: readonly Name[], of: (name: Name) => number): Record<Name, number> {
  // The object has exactly one entry for each name, so it is a `Record` of these names.
  return Object.fromEntries(names.map((name) => [name, of(name)])) as Record<Name, number>;
}
