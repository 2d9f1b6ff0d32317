import { expect, test } from "vitest";
import type { ActorEvent, NodeId } from "../forge/api";
import { endedNode, node, overview } from "./cluster.fixture";
import { feedOf } from "./feed";

const NODE = "node-1" as NodeId;

function event(at: string, path: string, kind: ActorEvent["kind"]): ActorEvent {
  return { at: `2026-11-21T${at}Z`, node: NODE, path, kind, text: "" };
}

test("events of nodes and of actors are one feed, newest first", () => {
  const dead = node("node-2", { state: "dead", startedAt: "2026-11-21T10:00:00Z", seenAt: "2026-11-21T11:30:00Z" });
  const cluster = overview({ nodes: [node("node-1"), dead], events: [event("11:00:00", "node/jobs", "crashed")] });
  const lines = feedOf(cluster, null);
  expect(lines.map((line) => `${line.node} ${line.kind}`)).toEqual(["node-1 joined", "node-2 left", "node-1 crashed", "node-2 joined"]);
  expect(feedOf(cluster, NODE)).toHaveLength(2);
});

test("a name that came back leaves what happened to its former process", () => {
  const lost = endedNode("node-2", { lost: true, endedAt: "2026-11-21T11:30:10Z" });
  const lines = feedOf(overview({ nodes: [node("node-2")], ended: [lost] }), null);
  expect(lines.map((line) => `${line.node} ${line.kind} ${line.text}`.trim())).toEqual([
    "node-2 joined",
    "node-2-before lost no heartbeat for 10 s",
    "node-2-before joined",
  ]);
});

test("a node that is listed and has ended is one node", () => {
  const dead = node("node-2", { state: "dead", endedAt: "2026-11-21T11:30:00Z" });
  const same = endedNode("node-2", { id: dead.id });
  expect(feedOf(overview({ nodes: [dead], ended: [same] }), null)).toHaveLength(2);
});

test("actors that start together are one line with the path of their common supervisor", () => {
  const events = [
    event("13:00:09", "node/gateway", "started"),
    event("13:00:08", "node/gateway/listener", "started"),
    event("13:00:08", "node/gateway/sessions", "started"),
    event("13:00:01", "node/jobs", "started"),
    event("13:00:00", "node/jobs", "crashed"),
    event("12:59:59", "node/jobs", "crashed"),
  ];
  const lines = feedOf(overview({ nodes: [], events }), null);
  expect(lines.map((line) => `${line.count} ${line.path} ${line.kind}`)).toEqual([
    "3 node/gateway started",
    "1 node/jobs started",
    "1 node/jobs crashed",
    "1 node/jobs crashed",
  ]);
});

test("sessions that start or stop are omitted, and crashes of sessions are shown", () => {
  const path = "node/gateway/sessions/01a1";
  const events = [event("13:00:09", path, "stopped"), event("13:00:05", path, "crashed"), event("13:00:01", path, "started")];
  expect(feedOf(overview({ nodes: [], events }), null).map((line) => line.kind)).toEqual(["crashed"]);
});
