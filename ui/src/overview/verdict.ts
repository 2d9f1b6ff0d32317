// Is it healthy, and if not, why: one line out of what the nodes report.

import type { DatabaseInfo, NodeInfo, Overview, PoolInfo } from "../forge/api";
import { duration, list, plural, span } from "../parts/format";

/** A node is missed when it was not seen for so long. */
export const UNSEEN_MS = 10_000;
/** Changes that reach clients later than this are late. */
export const LAG_MS = 1_000;
/** Calls of the last minute that failed, as a share, and how many calls that takes to mean something. */
export const ERROR_SHARE = 0.05;
export const CALLS_MIN = 20;

export type Level = "healthy" | "degraded" | "down";

/** One sentence, and whether it spoils the verdict or is only worth knowing. */
export type Reason = { readonly text: string; readonly weighs: boolean; readonly node?: string };

export type Verdict = { readonly level: Level; readonly word: string; readonly reasons: readonly Reason[] };

/** Calls of the last minute. */
export type Recent = { readonly calls: number; readonly errors: number };

const WORDS: Readonly<Record<Level, string>> = { healthy: "Healthy", degraded: "Degraded", down: "Down" };

export function verdictOf(overview: Overview, recent: Recent, nowMs: number): Verdict {
  const nodes = overview.nodes.flatMap((node) => ofNode(node, nowMs));
  const reasons = [
    ...ofDatabase(overview.database),
    ...nodes,
    ...ofLinks(overview.nodes, nowMs),
    ...ofVersions(overview.nodes),
    ...ofWork(overview, recent),
  ];
  const level = levelOf(overview, reasons, nowMs);
  const order = [...reasons.filter((reason) => reason.weighs), ...reasons.filter((reason) => !reason.weighs)];
  return { level, word: WORDS[level], reasons: order };
}

/** A node that takes part: it says so, and was seen lately. */
export function isPresent(node: NodeInfo, nowMs: number): boolean {
  return node.state !== "dead" && nowMs - Date.parse(node.seenAt) <= UNSEEN_MS;
}

function levelOf(overview: Overview, reasons: readonly Reason[], nowMs: number): Level {
  const serves = overview.nodes.some((node) => node.state === "active" && isPresent(node, nowMs));
  if (overview.database.state !== "up" || !serves) return "down";
  return reasons.some((reason) => reason.weighs) ? "degraded" : "healthy";
}

function ofDatabase(database: DatabaseInfo): Reason[] {
  if (database.state !== "up") return [{ text: `the database is ${database.state}`, weighs: true }];
  const full = (name: string, pool: PoolInfo): Reason[] =>
    pool.max > 0 && pool.lent >= pool.max ? [{ text: `all ${pool.max} ${name} connections are lent`, weighs: true }] : [];
  return [...full("read", database.read), ...full("write", database.write)];
}

function ofNode(node: NodeInfo, nowMs: number): Reason[] {
  const unseenMs = nowMs - Date.parse(node.seenAt);
  if (!isPresent(node, nowMs)) return [{ text: `${node.name} not seen for ${span(unseenMs)}`, weighs: true, node: node.id }];
  if (node.state === "draining") return [{ text: `${node.name} is draining`, weighs: false, node: node.id }];
  if (node.state === "joining") return [{ text: `${node.name} is joining`, weighs: false, node: node.id }];
  return [];
}

/** Links between two nodes that are both there; each pair once. */
function ofLinks(nodes: readonly NodeInfo[], nowMs: number): Reason[] {
  const present = new Map(nodes.filter((node) => isPresent(node, nowMs)).map((node) => [node.id, node]));
  const cut = new Map<string, Reason>();
  for (const node of present.values()) {
    for (const peer of node.peers) {
      const other = present.get(peer.node);
      if (other === undefined || peer.state === "connected") continue;
      const pair = [node.name, other.name].sort();
      cut.set(pair.join(), { text: `no link between ${list(pair)}: changes arrive by polling`, weighs: true, node: node.id });
    }
  }
  return [...cut.values()];
}

function ofVersions(nodes: readonly NodeInfo[]): Reason[] {
  const versions = [...new Set(nodes.filter((node) => node.state !== "dead").map((node) => node.version))].sort();
  return versions.length > 1 ? [{ text: `nodes run versions ${list(versions)}`, weighs: false }] : [];
}

function ofWork(overview: Overview, recent: Recent): Reason[] {
  const reasons: Reason[] = [];
  const { failed } = overview.jobs;
  if (failed > 0) reasons.push({ text: `${plural(failed, "job")} failed`, weighs: true });
  if (overview.changeLagMs > LAG_MS) reasons.push({ text: `changes arrive ${duration(overview.changeLagMs)} late`, weighs: true });
  if (recent.calls >= CALLS_MIN && recent.errors / recent.calls > ERROR_SHARE) {
    const share = Math.round((100 * recent.errors) / recent.calls);
    reasons.push({ text: `${share} % of the last minute's calls failed`, weighs: true });
  }
  if (overview.crashes24h > 0) reasons.push({ text: `${plural(overview.crashes24h, "crash", "crashes")} in 24 h`, weighs: false });
  return reasons;
}
