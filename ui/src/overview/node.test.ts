import { expect, test } from "vitest";
import { NOW, node } from "./cluster.fixture";
import { statusOfNode } from "./node";

const ENDED = { state: "dead", endedAt: "2026-11-21T11:57:00Z", seenAt: "2026-11-21T11:56:50Z" } as const;

test("a node that stopped in order is not shown like one that was lost", () => {
  expect(statusOfNode(node("n", ENDED), NOW)).toEqual({ shape: "square", tone: "dim", word: "stopped 3 min ago" });
  expect(statusOfNode(node("n", { ...ENDED, lost: true }), NOW)).toEqual({ shape: "cross", tone: "bad", word: "lost 3 min ago" });
});

test("a node without a heartbeat says for how long", () => {
  expect(statusOfNode(node("n", { seenAt: "2026-11-21T11:59:48Z" }), NOW).word).toBe("no heartbeat for 12 s");
});
