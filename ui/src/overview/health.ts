// Is it healthy, and if not, why: one line out of what the nodes report.

import type { JobCounts, NodeStatus, ClusterOverview, PoolUsage } from "../forge/api";
import { duration, list, plural, span } from "../parts/format";

/** A node is missed when it was not seen for so long. */
const UNSEEN_MS = 10_000;
/** A node that died is a reason for so long; then it is only worth knowing, since it may be meant. */
const MISSED_MS_MAX = 15 * 60_000;
/** Changes that reach clients later than this are late. */
const LAG_MS = 1_000;
/** Calls of the last minute that failed, as a share, and how many calls it takes to mean something. */
const ERROR_SHARE = 0.05;
const CALLS_MIN = 20;

export type Level = "healthy" | "degraded" | "down";

/** One sentence, and whether it spoils the health or is only worth knowing. */
export type Reason = { readonly text: string; readonly degrades: boolean };

export type Health = { readonly level: Level; readonly word: string; readonly reasons: readonly Reason[] };

/** Calls of the last minute. */
export type Recent = { readonly calls: number; readonly errors: number };

const WORDS: Readonly<Record<Level, string>> = { healthy: "Healthy", degraded: "Degraded", down: "Down" };

/** Reasons that weigh come first. */
export function healthOf(overview: ClusterOverview, recent: Recent, nowMs: number): Health {
  const { nodes, jobs, crashes24h } = overview;
  const reasons = [...nodes.flatMap((node) => ofNode(node, nowMs)), ...ofLinks(nodes, nowMs), ...ofVersions(nodes), ...ofJobs(jobs), ...ofCalls(recent)];
  if (crashes24h > 0) reasons.push(note(`${plural(crashes24h, "crash", "crashes")} in 24 h`));
  const level = levelOf(nodes, reasons, nowMs);
  const order = [...reasons.filter((reason) => reason.degrades), ...reasons.filter((reason) => !reason.degrades)];
  return { level, word: WORDS[level], reasons: order };
}

/** A node that takes part: it says so, and was seen lately. */
export function isPresent(node: NodeStatus, nowMs: number): boolean {
  return node.state !== "dead" && nowMs - Date.parse(node.seenAt) <= UNSEEN_MS;
}

function levelOf(nodes: readonly NodeStatus[], reasons: readonly Reason[], nowMs: number): Level {
  const serves = (node: NodeStatus): boolean => node.state === "active" && isPresent(node, nowMs) && node.stats?.databaseUp !== false;
  if (!nodes.some(serves)) return "down";
  return reasons.some((reason) => reason.degrades) ? "degraded" : "healthy";
}

function ofNode(node: NodeStatus, nowMs: number): Reason[] {
  const { name, state, stats } = node;
  const unseenMs = nowMs - Date.parse(node.seenAt);
  if (state === "dead") return [{ text: `${name} is dead, last seen ${span(unseenMs)} ago`, degrades: unseenMs <= MISSED_MS_MAX }];
  if (!isPresent(node, nowMs)) return [problem(`${name} not seen for ${span(unseenMs)}`)];
  const reasons: Reason[] = [];
  if (state === "draining") reasons.push(note(`${name} is draining`));
  if (state === "joining") reasons.push(note(`${name} is joining`));
  if (stats === null) return [...reasons, problem(`${name} does not report its figures`)];
  if (!stats.databaseUp) reasons.push(problem(`${name} does not reach the database`));
  if (stats.database !== null) reasons.push(...ofPool(name, "read", stats.database.read), ...ofPool(name, "write", stats.database.write));
  if (stats.changeLagMs > LAG_MS) reasons.push(problem(`changes arrive ${duration(stats.changeLagMs)} late on ${name}`));
  return reasons;
}

/** A pool without a free connection is a reason once somebody waits for one. */
function ofPool(node: string, name: string, pool: PoolUsage): Reason[] {
  return pool.waiting > 0 ? [problem(`${plural(pool.waiting, "call")} on ${node} wait for a ${name} connection`)] : [];
}

/** Links between two nodes that are both there; each pair once. */
function ofLinks(nodes: readonly NodeStatus[], nowMs: number): Reason[] {
  const present = new Map(nodes.filter((node) => isPresent(node, nowMs)).map((node) => [node.id, node]));
  const cut = new Map<string, Reason>();
  for (const node of present.values()) {
    for (const peer of node.peers.filter((peer) => !peer.linked && present.has(peer.node))) {
      const pair = [node.name, peer.name].sort();
      cut.set(pair.join(), problem(`no link between ${list(pair)}: changes arrive by polling`));
    }
  }
  return [...cut.values()];
}

function ofVersions(nodes: readonly NodeStatus[]): Reason[] {
  const versions = [...new Set(nodes.filter((node) => node.state !== "dead").map((node) => node.version))].sort();
  return versions.length > 1 ? [note(`nodes run versions ${list(versions)}`)] : [];
}

function ofJobs({ failed }: JobCounts): Reason[] {
  return failed > 0 ? [problem(`${plural(failed, "job")} failed`)] : [];
}

function ofCalls({ calls, errors }: Recent): Reason[] {
  if (calls < CALLS_MIN || errors / calls <= ERROR_SHARE) return [];
  return [problem(`${Math.round((100 * errors) / calls)} % of the last minute's calls failed`)];
}

function problem(text: string): Reason {
  return { text, degrades: true };
}

function note(text: string): Reason {
  return { text, degrades: false };
}
