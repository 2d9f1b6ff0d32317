// The appearance of the state of an actor.

import type { ActorRow, ShownMessage } from "../forge/api";
import { span } from "../parts/format";
import type { Status } from "../parts/status";

/** An actor that handles one message for longer than this is shown as stuck, unless it works on what has a time limit of its own. */
export const STUCK_MS = 10_000;
/** Work that is cut at its limit ends a moment later. */
const CUT_MS = 2_000;

type Stateful = Pick<ActorRow, "state" | "current">;

/** Whether the actor takes longer than it may: a worker longer than the time limit of its job, any other actor longer than `STUCK_MS`. */
export function isStuck(row: Stateful): boolean {
  if (row.state.is !== "running" || row.current === null) return false;
  const { work, forMs } = row.current;
  return work === null ? forMs > STUCK_MS : work.forMs > work.limitMs + CUT_MS;
}

/** What the actor does, and for how long: the handler of a job, or the message. */
export function doingOf(current: ShownMessage): { readonly name: string; readonly id: string | null; readonly forMs: number; readonly limitMs: number | null } {
  const { work, name, forMs } = current;
  return work === null ? { name, id: null, forMs, limitMs: null } : { name: work.handler, id: work.id, forMs: work.forMs, limitMs: work.limitMs };
}

/** The appearance of an actor's state at `nowMs`, by the clock of the node that reported the row. */
export function statusOf(row: Stateful, nowMs: number): Status {
  if (isStuck(row)) return { shape: "hourglass", tone: "warn", word: "stuck" };
  switch (row.state.is) {
    case "running":
      return { shape: "dot", tone: "ok", word: "running" };
    case "starting":
      return { shape: "ring", tone: "dim", word: "starting" };
    case "waiting":
      return { shape: "turn", tone: "warn", word: waiting(row.state.until, nowMs) };
    case "stopping":
      return { shape: "square", tone: "dim", word: "stopping" };
    case "stopped":
      return { shape: "square", tone: "dim", word: "stopped" };
    case "failed":
      return { shape: "cross", tone: "bad", word: "failed" };
  }
}

/** A half-full mailbox is a warning; a mailbox that is nearly full will soon refuse senders. */
export function mailboxTone(row: Pick<ActorRow, "mailbox" | "mailboxMax">): "accent" | "warn" | "bad" {
  const share = row.mailboxMax > 0 ? row.mailbox / row.mailboxMax : 0;
  if (share >= 0.9) return "bad";
  return share >= 0.5 ? "warn" : "accent";
}

function waiting(until: string, nowMs: number): string {
  const leftMs = Date.parse(until) - nowMs;
  return leftMs < 1_000 ? "restarting" : `restart in ${span(leftMs)}`;
}

/** Kinds of actors that exist for one client or one job; all other kinds are part of the node. */
const WORK = new Set(["session", "worker"]);

/** Whether a restart or stop of the actor affects more than one client or one job. */
export function isSystem(row: Pick<ActorRow, "kind">): boolean {
  return !WORK.has(row.kind);
}
