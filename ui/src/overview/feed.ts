// What happened last: steps in the lives of actors, and nodes that came and went.

import type { ClusterOverview, LifeEvent, NodeId, NodeStatus } from "../forge/api";

/** One line of the feed: an event, or several equal ones of one node, of which it is the newest. */
export type Line = LifeEvent & { readonly count: number };

/** Lines of the feed. */
const LINES_MAX = 60;
/** A node that starts has dozens of actors start with it: what is no further apart than this is one line. */
const TOGETHER_MS = 2_000;
/** Kinds that come in crowds and mean little one by one. */
const CROWDS = new Set(["started", "stopped"]);
/** Clients come and go all the time, and their sessions with them: that is no news. */
const SESSIONS = "/sessions/";

/** Newest first; of one node, or of all (null). The registry tells of nodes what the journals of their actors do not. */
export function feedOf({ nodes, events }: ClusterOverview, of: NodeId | null): readonly Line[] {
  const news = events.filter((event) => !(CROWDS.has(event.kind) && event.path.includes(SESSIONS)));
  const all = [...news, ...nodes.flatMap(livesOf)].filter((event) => of === null || event.node === of);
  all.sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  const lines: Line[] = [];
  for (const event of all) {
    const newest = lines.at(-1);
    if (newest !== undefined && together(newest, event)) lines.splice(-1, 1, { ...newest, path: common(newest.path, event.path), count: newest.count + 1 });
    else lines.push({ ...event, count: 1 });
  }
  return lines.slice(0, LINES_MAX);
}

function livesOf({ id, state, startedAt, seenAt }: NodeStatus): LifeEvent[] {
  const joined = { at: startedAt, node: id, path: "", kind: "joined", text: "" };
  return state === "dead" ? [{ ...joined, at: seenAt, kind: "left" }, joined] : [joined];
}

function together(newest: Line, event: LifeEvent): boolean {
  const equal = newest.node === event.node && newest.kind === event.kind && newest.text === event.text;
  return equal && CROWDS.has(event.kind) && Date.parse(newest.at) - Date.parse(event.at) <= TOGETHER_MS;
}

/** The supervisor that both paths have above them, or are. */
function common(one: string, other: string): string {
  const names = other.split("/");
  const shared = one.split("/").findIndex((name, at) => name !== names[at]);
  return shared < 0 ? one : names.slice(0, shared).join("/");
}
