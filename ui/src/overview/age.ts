// The age of figures. A node that answers is asked four times a second, and the overview is renewed once a second.

import type { NodeStatus } from "../forge/api";
import { list, span } from "../parts/format";

/** Figures that are older than this are shown with their age. */
const OLD_MS = 2_500;

export function isOld(ageMs: number | null): ageMs is number {
  return ageMs !== null && ageMs > OLD_MS;
}

/** Which of the nodes report late, for the figures that are their sum: "with figures of node-2 from 4 s ago"; null when none does. */
export function oldFigures(nodes: readonly NodeStatus[]): string | null {
  const old = nodes.filter((node) => node.stats !== null && isOld(node.statsAgeMs));
  if (old.length === 0) return null;
  const oldestMs = Math.max(...old.map((node) => node.statsAgeMs ?? 0));
  return `with figures of ${list(old.map((node) => node.name))} from ${span(oldestMs)} ago`;
}
