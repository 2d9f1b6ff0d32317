// The appearance of a queue.

import type { QueueRow } from "../forge/api";
import type { Status } from "../parts/status";

type Stateful = Pick<QueueRow, "pausedAt" | "concurrencyMax" | "held" | "unserved" | "due">;

/** What holds up the jobs of a queue, the most important first. */
export function statusOfQueue(row: Stateful): Status {
  if (row.pausedAt !== null) return { shape: "bars", tone: "warn", word: "paused" };
  if (row.unserved.length > 0) return { shape: "cross", tone: "bad", word: "no node can run it" };
  if (row.concurrencyMax !== null && row.held >= row.concurrencyMax && row.due.count > 0) return { shape: "hourglass", tone: "warn", word: "at its limit" };
  return { shape: "dot", tone: "ok", word: "runs" };
}

/** Reads the limit that a person has typed: null is no limit, undefined no number. */
export function readLimit(text: string): number | null | undefined {
  if (text.trim() === "") return null;
  const limit = Number(text.replaceAll(",", ""));
  return Number.isInteger(limit) && limit >= 1 && limit <= 1_000_000 ? limit : undefined;
}
