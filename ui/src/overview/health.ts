// The health of the cluster and the reasons for it, computed from the reports of the nodes.

import type { JobCounts, NodeStatus, ClusterOverview, PoolUsage } from "../forge/api";
import { ago, duration, list, plural, span } from "../parts/format";

/** A node that was not seen for this long does not take part in the cluster. */
const UNSEEN_MS = 10_000;
/** A lost node degrades the health for this long. Later it is only a note, since the node may have been removed on purpose. */
const LOST_MS_MAX = 15 * 60_000;
/** A change lag above this degrades the health, unless it was measured longer ago than `LAG_AGE_MS_MAX`. */
const LAG_MS = 1_000;
const LAG_AGE_MS_MAX = 60_000;
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
  const reasons = [...servingReasons(nodes, nowMs), ...nodes.flatMap((node) => nodeReasons(node, nowMs)), ...linkReasons(nodes, nowMs), ...versionReasons(nodes), ...jobReasons(jobs), ...callReasons(recent)];
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
  if (!nodes.some((node) => serves(node, nowMs))) return "down";
  return reasons.some((reason) => reason.degrades) ? "degraded" : "healthy";
}

function serves(node: NodeStatus, nowMs: number): boolean {
  return node.state === "active" && isPresent(node, nowMs) && node.stats?.databaseUp !== false;
}

/** Why a cluster is down although no node of it has failed: the nodes that are left only stop or start. */
function servingReasons(nodes: readonly NodeStatus[], nowMs: number): Reason[] {
  const present = nodes.filter((node) => isPresent(node, nowMs));
  if (nodes.some((node) => serves(node, nowMs)) || present.some((node) => node.state === "active")) return [];
  const states = [...new Set(present.map((node) => node.state))].sort();
  return [problem(present.length === 0 ? "no node runs" : `no node serves: all that run are ${list(states)}`)];
}

function nodeReasons(node: NodeStatus, nowMs: number): Reason[] {
  const { name, state, stats } = node;
  const unseenMs = nowMs - Date.parse(node.seenAt);
  if (state === "dead") return [endReason(node, nowMs)];
  if (!isPresent(node, nowMs)) return [problem(`${name} has sent no heartbeat for ${span(unseenMs)}`)];
  const reasons: Reason[] = [];
  if (state === "draining") reasons.push(note(`${name} is draining`));
  if (state === "joining") reasons.push(note(`${name} is joining`));
  if (stats === null) return [...reasons, problem(`${name} answers no request for its figures`)];
  if (!stats.databaseUp) reasons.push(problem(`${name} cannot reach the database`));
  if (stats.election !== null && stats.election.obstacle !== null) reasons.push(problem(`leader election disabled on ${name}: ${stats.election.obstacle}`));
  if (stats.database !== null) reasons.push(...poolReasons(name, "read", stats.database.read), ...poolReasons(name, "write", stats.database.write));
  if (stats.changeLagMs > LAG_MS && (stats.changeLagAgeMs ?? Infinity) <= LAG_AGE_MS_MAX) {
    reasons.push(problem(`live queries on ${name} show changes ${duration(stats.changeLagMs)} late; its last tick took ${duration(stats.lastTickMs)}`));
  }
  return reasons;
}

/** A node that stopped in order is a note for as long as it is listed. */
function endReason({ name, lost, endedAt, seenAt }: NodeStatus, nowMs: number): Reason {
  const ended = ago(nowMs - Date.parse(endedAt ?? seenAt));
  if (!lost) return note(`${name} stopped in order ${ended}`);
  const unseenMs = nowMs - Date.parse(seenAt);
  return { text: `${name} was lost: killed, frozen or cut off from the database; last heartbeat ${ago(unseenMs)}`, degrades: unseenMs <= LOST_MS_MAX };
}

/** A full pool degrades the health only when calls wait for a connection. */
function poolReasons(node: string, name: string, pool: PoolUsage): Reason[] {
  if (pool.waiting === 0) return [];
  const wait = `${plural(pool.waiting, "call")} on ${node} ${pool.waiting === 1 ? "waits" : "wait"} for a ${name} connection`;
  return [problem(`${wait}: ${pool.lent} of ${pool.max} are in use`)];
}

/** Missing links between two present nodes; one reason for each pair. */
function linkReasons(nodes: readonly NodeStatus[], nowMs: number): Reason[] {
  const present = new Map(nodes.filter((node) => isPresent(node, nowMs)).map((node) => [node.id, node]));
  const cut = new Map<string, Reason>();
  for (const node of present.values()) {
    for (const peer of node.peers.filter((peer) => !peer.linked && present.has(peer.node))) {
      const pair = [node.name, peer.name].sort();
      const why = peer.error === null ? "" : ` (${peer.error})`;
      cut.set(pair.join(), problem(`no mesh link between ${list(pair)}${why}: changes cross by polling, a little later`));
    }
  }
  return [...cut.values()];
}

function versionReasons(nodes: readonly NodeStatus[]): Reason[] {
  const versions = [...new Set(nodes.filter((node) => node.state !== "dead").map((node) => node.version))].sort();
  return versions.length > 1 ? [note(`nodes run versions ${list(versions)}`)] : [];
}

function jobReasons({ failed }: JobCounts): Reason[] {
  return failed > 0 ? [problem(`${plural(failed, "job")} ended without success in the last 24 h`)] : [];
}

function callReasons({ calls, errors }: RecentCalls): Reason[] {
  if (calls < CALLS_MIN || errors / calls <= ERROR_SHARE) return [];
  return [problem(`${Math.round((100 * errors) / calls)} % of the last minute's calls failed by the node's fault: panics, timeouts, internal errors`)];
}

function problem(text: string): Reason {
  return { text, degrades: true };
}

function note(text: string): Reason {
  return { text, degrades: false };
}
