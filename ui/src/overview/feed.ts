// The feed of the overview: events of actors, and nodes that started, stopped and were lost.

import type { ActorEvent, ClusterOverview, NodeId, NodeInfo, NodeStatus } from "../forge/api";
import type { EventKind } from "../parts/events";
import { span } from "../parts/format";

/** An event of an actor, or of a node. Nodes report the events of their actors; those of a node come from its own times. */
export type FeedEvent = Omit<ActorEvent, "kind"> & { readonly kind: EventKind };

/** One line of the feed: an event, or the newest of several equal events of one node. */
export type FeedLine = FeedEvent & { readonly count: number };

/** Lines of the feed at most. */
const LINES_MAX = 60;
/** The actors of a node start together: equal events that are no further apart than this are one line. */
const TOGETHER_MS = 2_000;
/** Kinds of events of which equal ones are grouped into one line. */
const GROUPED: ReadonlySet<EventKind> = new Set(["started", "stopped"]);
/** Part of the paths of session actors. Sessions start and stop all the time, so the feed omits these events. */
const SESSIONS = "/sessions/";

/** The lines of one node (`of`), or of all nodes (null), newest first. */
export function feedOf({ nodes, ended, events }: ClusterOverview, of: NodeId | null): readonly FeedLine[] {
  const shown = events.filter((event) => !(GROUPED.has(event.kind) && event.path.includes(SESSIONS)));
  // A node that came back under its name is in `ended` only, as far as its former process goes.
  const known = new Map<NodeId, Lived>([...ended, ...nodes].map((node) => [node.id, node]));
  const all = [...shown, ...[...known.values()].flatMap(eventsOf)].filter((event) => of === null || event.node === of);
  all.sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  const lines: FeedLine[] = [];
  for (const event of all) {
    const newest = lines.at(-1);
    if (newest !== undefined && together(newest, event)) lines.splice(-1, 1, { ...newest, path: common(newest.path, event.path), count: newest.count + 1 });
    else lines.push({ ...event, count: 1 });
  }
  return lines.slice(0, LINES_MAX);
}

/** When a node started, and how it ended. */
type Lived = Pick<NodeStatus & NodeInfo, "id" | "state" | "startedAt" | "seenAt" | "endedAt" | "lost">;

function eventsOf({ id, state, startedAt, seenAt, endedAt, lost }: Lived): FeedEvent[] {
  const joined: FeedEvent = { at: startedAt, node: id, path: "", kind: "joined", text: "" };
  if (state !== "dead") return [joined];
  const at = endedAt ?? seenAt;
  const left = { ...joined, at, kind: "left" } as const;
  return [lost ? { ...left, kind: "lost", text: `no heartbeat for ${span(Date.parse(at) - Date.parse(seenAt))}` } : left, joined];
}

function together(newest: FeedLine, event: FeedEvent): boolean {
  const equal = newest.node === event.node && newest.kind === event.kind && newest.text === event.text;
  return equal && GROUPED.has(event.kind) && Date.parse(newest.at) - Date.parse(event.at) <= TOGETHER_MS;
}

/** The longest path that contains both paths: that of their nearest common supervisor. */
function common(one: string, other: string): string {
  const names = other.split("/");
  const shared = one.split("/").findIndex((name, at) => name !== names[at]);
  return shared < 0 ? one : names.slice(0, shared).join("/");
}
