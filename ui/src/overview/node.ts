// The appearance of the state of a node.

import type { Status } from "../parts/status";
import type { NodeStatus } from "../forge/api";
import { span } from "../parts/format";
import { isPresent } from "./health";

export function statusOfNode(node: NodeStatus, nowMs: number): Status {
  if (node.state === "dead") return { shape: "cross", tone: "bad", word: "dead" };
  if (!isPresent(node, nowMs)) return { shape: "cross", tone: "bad", word: `not seen for ${span(nowMs - Date.parse(node.seenAt))}` };
  switch (node.state) {
    case "active":
      return { shape: "dot", tone: "ok", word: "active" };
    case "draining":
      return { shape: "hourglass", tone: "warn", word: "draining" };
    case "joining":
      return { shape: "ring", tone: "dim", word: "joining" };
  }
}
