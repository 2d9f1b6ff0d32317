// The appearance of the state of a node.

import type { Status } from "../parts/status";
import type { NodeStatus } from "../forge/api";
import { ago, span } from "../parts/format";
import { isPresent } from "./health";

export function statusOfNode(node: NodeStatus, nowMs: number): Status {
  if (node.state === "dead") {
    const ended = ago(nowMs - Date.parse(node.endedAt ?? node.seenAt));
    return node.lost ? { shape: "cross", tone: "bad", word: `lost ${ended}` } : { shape: "square", tone: "dim", word: `stopped ${ended}` };
  }
  if (!isPresent(node, nowMs)) return { shape: "cross", tone: "bad", word: `no heartbeat for ${span(nowMs - Date.parse(node.seenAt))}` };
  switch (node.state) {
    case "active":
      return { shape: "dot", tone: "ok", word: "active" };
    case "draining":
      return { shape: "hourglass", tone: "warn", word: "draining" };
    case "joining":
      return { shape: "ring", tone: "dim", word: "joining" };
  }
}
