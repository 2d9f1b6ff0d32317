import { expect, test } from "vitest";
import type { NodeId } from "../forge/api";
import { node, overview } from "./cluster.fixture";
import { feedOf } from "./feed";

test("nodes come and go among the actors' steps, newest first", () => {
  const dead = node("node-2", { state: "dead", startedAt: "2026-11-21T10:00:00Z", seenAt: "2026-11-21T11:30:00Z" });
  const crashed = { at: "2026-11-21T11:00:00Z", node: "node-1" as NodeId, path: "node/jobs", kind: "crashed", text: "" };
  const lines = feedOf(overview({ nodes: [node("node-1"), dead], events: [crashed] }));
  expect(lines.map((line) => `${line.node} ${line.kind}`)).toEqual(["node-1 joined", "node-2 left", "node-1 crashed", "node-2 joined"]);
});
