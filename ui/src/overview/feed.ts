// What happened last: steps in the lives of actors, and nodes that came and went.

import type { ClusterOverview, LifeEvent, NodeStatus } from "../forge/api";

/** Lines of the feed. */
const LINES_MAX = 60;

/** Newest first. The registry tells of nodes what the journals of their actors do not. */
export function feedOf({ nodes, events }: ClusterOverview): readonly LifeEvent[] {
  const all = [...events, ...nodes.flatMap(livesOf)];
  return all.sort((a, b) => Date.parse(b.at) - Date.parse(a.at)).slice(0, LINES_MAX);
}

function livesOf({ id, state, startedAt, seenAt }: NodeStatus): LifeEvent[] {
  const joined = { at: startedAt, node: id, path: "", kind: "joined", text: "" };
  return state === "dead" ? [{ ...joined, at: seenAt, kind: "left" }, joined] : [joined];
}
