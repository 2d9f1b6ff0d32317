// The feed of the overview: events of actors, and nodes that joined and left.

import type { ActorEvent, ActorEventKind, ClusterOverview, NodeId, NodeStatus } from "../forge/api";

/** An event of an actor, or of a node: the registry knows when nodes join and leave, the journals of their actors do not. */
export type FeedEvent = Omit<ActorEvent, "kind"> & { readonly kind: ActorEventKind | "joined" | "left" };

/** One line of the feed: an event, or the newest of several equal events of one node. */
export type Line = FeedEvent & { readonly count: number };

/** Lines of the feed at most. */
const LINES_MAX = 60;
/** The actors of a node start together: equal events that are no further apart than this are one line. */
const TOGETHER_MS = 2_000;
/** Kinds of events that come in groups and mean little one by one. */
const GROUPED: ReadonlySet<string> = new Set(["started", "stopped"]);
/** The sessions of clients start and stop all the time, so those events are left out. */
const SESSIONS = "/sessions/";

/** The lines of one node, or of all (null), newest first. */
export function feedOf({ nodes, events }: ClusterOverview, of: NodeId | null): readonly Line[] {
  const shown = events.filter((event) => !(GROUPED.has(event.kind) && event.path.includes(SESSIONS)));
  const all = [...shown, ...nodes.flatMap(eventsOf)].filter((event) => of === null || event.node === of);
  all.sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  const lines: Line[] = [];
  for (const event of all) {
    const newest = lines.at(-1);
    if (newest !== undefined && together(newest, event)) lines.splice(-1, 1, { ...newest, path: common(newest.path, event.path), count: newest.count + 1 });
    else lines.push({ ...event, count: 1 });
  }
  return lines.slice(0, LINES_MAX);
}

function eventsOf({ id, state, startedAt, seenAt }: NodeStatus): FeedEvent[] {
  const joined = { at: startedAt, node: id, path: "", kind: "joined", text: "" } as const;
  return state === "dead" ? [{ ...joined, at: seenAt, kind: "left" }, joined] : [joined];
}

function together(newest: Line, event: FeedEvent): boolean {
  const equal = newest.node === event.node && newest.kind === event.kind && newest.text === event.text;
  return equal && GROUPED.has(event.kind) && Date.parse(newest.at) - Date.parse(event.at) <= TOGETHER_MS;
}

/** The nearest supervisor that is, or is above, both paths. */
function common(one: string, other: string): string {
  const names = other.split("/");
  const shared = one.split("/").findIndex((name, at) => name !== names[at]);
  return shared < 0 ? one : names.slice(0, shared).join("/");
}
