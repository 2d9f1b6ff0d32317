// The health of the cluster and the reasons for it, computed from the reports of the nodes.

import type { JobCounts, NodeStatus, ClusterOverview, PoolUsage } from "../forge/api";
import { duration, list, plural, span } from "../parts/format";

/** A node that was not seen for this long does not take part in the cluster. */
const UNSEEN_MS = 10_000;
/** A dead node degrades the health for this long. Later it is only a note, since the node may have been removed on purpose. */
const DEAD_MS_MAX = 15 * 60_000;
/** A change lag above this degrades the health. */
const LAG_MS = 1_000;
/** A share of failed calls in the last minute above this degrades the health. */
const ERROR_SHARE = 0.05;
/** Calls in the last minute below which the share of failed calls means nothing. */
const CALLS_MIN = 20;

export type Level = "healthy" | "degraded" | "down";

/** One sentence. A reason that does not degrade the health is a note. */
export type Reason = { readonly text: string; readonly degrades: boolean };

export type Health = { readonly level: Level; readonly word: string; readonly reasons: readonly Reason[] };

/** Calls of the last minute. */
export type RecentCalls = { readonly calls: number; readonly errors: number };

const WORDS: Readonly<Record<Level, string>> = { healthy: "Healthy", degraded: "Degraded", down: "Down" };

/** The health of the cluster. Reasons that degrade it come first, then notes. */
export function healthOf(overview: ClusterOverview, recent: RecentCalls, nowMs: number): Health {
  const { nodes, jobs, crashes24h } = overview;
  const reasons = [...nodes.flatMap((node) => nodeReasons(node, nowMs)), ...linkReasons(nodes, nowMs), ...versionReasons(nodes), ...jobReasons(jobs), ...callReasons(recent)];
  if (crashes24h > 0) reasons.push(note(`${plural(crashes24h, "crash", "crashes")} in 24 h`));
  const level = levelOf(nodes, reasons, nowMs);
  const order = [...reasons.filter((reason) => reason.degrades), ...reasons.filter((reason) => !reason.degrades)];
  return { level, word: WORDS[level], reasons: order };
}

/** Whether a node takes part in the cluster: it is not dead, and was seen lately. */
export function isPresent(node: NodeStatus, nowMs: number): boolean {
  return node.state !== "dead" && nowMs - Date.parse(node.seenAt) <= UNSEEN_MS;
}

function levelOf(nodes: readonly NodeStatus[], reasons: readonly Reason[], nowMs: number): Level {
  const serves = (node: NodeStatus): boolean => node.state === "active" && isPresent(node, nowMs) && node.stats?.databaseUp !== false;
  if (!nodes.some(serves)) return "down";
  return reasons.some((reason) => reason.degrades) ? "degraded" : "healthy";
}

function nodeReasons(node: NodeStatus, nowMs: number): Reason[] {
  const { name, state, stats } = node;
  const unseenMs = nowMs - Date.parse(node.seenAt);
  if (state === "dead") return [{ text: `${name} is dead, last seen ${span(unseenMs)} ago`, degrades: unseenMs <= DEAD_MS_MAX }];
  if (!isPresent(node, nowMs)) return [problem(`${name} not seen for ${span(unseenMs)}`)];
  const reasons: Reason[] = [];
  if (state === "draining") reasons.push(note(`${name} is draining`));
  if (state === "joining") reasons.push(note(`${name} is joining`));
  if (stats === null) return [...reasons, problem(`${name} does not report its figures`)];
  if (!stats.databaseUp) reasons.push(problem(`${name} does not reach the database`));
  if (stats.election !== null && stats.election.obstacle !== null) reasons.push(problem(`leader election disabled on ${name}: ${stats.election.obstacle}`));
  if (stats.database !== null) reasons.push(...poolReasons(name, "read", stats.database.read), ...poolReasons(name, "write", stats.database.write));
  if (stats.changeLagMs > LAG_MS) reasons.push(problem(`changes arrive ${duration(stats.changeLagMs)} late on ${name}`));
  return reasons;
}

/** A full pool degrades the health only when calls wait for a connection. */
function poolReasons(node: string, name: string, pool: PoolUsage): Reason[] {
  return pool.waiting > 0 ? [problem(`${plural(pool.waiting, "call")} on ${node} wait for a ${name} connection`)] : [];
}

/** Missing links between two present nodes; one reason for each pair. */
function linkReasons(nodes: readonly NodeStatus[], nowMs: number): Reason[] {
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

function versionReasons(nodes: readonly NodeStatus[]): Reason[] {
  const versions = [...new Set(nodes.filter((node) => node.state !== "dead").map((node) => node.version))].sort();
  return versions.length > 1 ? [note(`nodes run versions ${list(versions)}`)] : [];
}

function jobReasons({ failed }: JobCounts): Reason[] {
  return failed > 0 ? [problem(`${plural(failed, "job")} failed`)] : [];
}

function callReasons({ calls, errors }: RecentCalls): Reason[] {
  if (calls < CALLS_MIN || errors / calls <= ERROR_SHARE) return [];
  return [problem(`${Math.round((100 * errors) / calls)} % of the last minute's calls failed`)];
}

function problem(text: string): Reason {
  return { text, degrades: true };
}

function note(text: string): Reason {
  return { text, degrades: false };
}
