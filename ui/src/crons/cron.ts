// The appearance of crons and of their runs.

import type { CronOverlap, CronRow, CronRunRow } from "../forge/api";
import { duration, plural, span } from "../parts/format";
import type { Status } from "../parts/status";

/** The appearance of a cron's state. */
export function statusOfCron(cron: Pick<CronRow, "state">): Status {
  switch (cron.state) {
    case "active":
      return { shape: "dot", tone: "ok", word: "active" };
    case "paused":
      return { shape: "bars", tone: "warn", word: "paused" };
    case "no_handler":
      return { shape: "cross", tone: "bad", word: "no handler" };
    case "broken":
      return { shape: "cross", tone: "bad", word: "no next time" };
  }
}

/** Why a cron brings no runs, and what helps; null for one that brings some. */
export function stateText(cron: Pick<CronRow, "state" | "handler" | "problem">): string | null {
  switch (cron.state) {
    case "active":
      return null;
    case "paused":
      return "It brings no runs until it is resumed. The times of the pause are not made up for.";
    case "no_handler":
      return `The node that leads the crons has no handler ${cron.handler}. The schedule goes on when one that has it leads.`;
    case "broken":
      return cron.problem;
  }
}

/** The appearance of what became of a time. */
export function statusOfRun(run: Pick<CronRunRow, "status" | "reason" | "times" | "isLate" | "startedAt">): Status {
  switch (run.status) {
    case "waiting":
      return { shape: "ring", tone: "dim", word: "waits for the run before" };
    case "dispatched":
      if (run.startedAt !== null) return { shape: "turn", tone: "ok", word: "running" };
      return { shape: "ring", tone: run.isLate ? "warn" : "dim", word: run.isLate ? "queued, late" : "queued" };
    case "completed":
      return run.isLate ? { shape: "hourglass", tone: "warn", word: "completed, late" } : { shape: "dot", tone: "ok", word: "completed" };
    case "failed":
      return { shape: "cross", tone: "bad", word: "failed" };
    case "dead_letter":
      return { shape: "cross", tone: "bad", word: "dead letter" };
    case "cancelled":
      return { shape: "square", tone: "bad", word: "cancelled" };
    case "unknown":
      return { shape: "ring", tone: "dim", word: "ended, its job is gone" };
    case "skipped":
      return skipped(run);
  }
}

function skipped(run: Pick<CronRunRow, "reason" | "times">): Status {
  switch (run.reason) {
    case "missed":
    case null:
      return { shape: "frame", tone: "warn", word: run.times === 1 ? "missed" : `${plural(run.times, "time")} missed` };
    case "overlap":
      return { shape: "bars", tone: "warn", word: "skipped: the run before was not finished" };
    case "queue_full":
      return { shape: "bars", tone: "warn", word: "skipped: too many runs waited" };
  }
}

/** How a run came about, beside its schedule: "made up for", "requested by ana". */
export function originOf(run: Pick<CronRunRow, "isCatchUp" | "requestedBy">): string | null {
  if (run.requestedBy !== null) return `requested by ${run.requestedBy}`;
  return run.isCatchUp ? "made up for" : null;
}

/** "began 45 s late, took 1.2 s"; empty for a run that has not begun. */
export function courseOf(run: Pick<CronRunRow, "scheduledAt" | "startedAt" | "finishedAt">, nowMs: number): string {
  if (run.startedAt === null) return "";
  const startedMs = Date.parse(run.startedAt);
  const began = `began ${duration(startedMs - Date.parse(run.scheduledAt))} after its time`;
  if (run.finishedAt === null) return `${began}, runs for ${span(nowMs - startedMs)}`;
  return `${began}, took ${duration(Date.parse(run.finishedAt) - startedMs)}`;
}

/** What becomes of a run while the one before it is not finished. */
export const OVERLAPS: Readonly<Record<CronOverlap, string>> = {
  skip: "the new run is skipped",
  queue: "the new run waits",
  allow: "both run",
};

/** A local time without its seconds, where they are zero: "2026-03-30 09:00 CEST". */
export function withoutZeroSeconds(local: string): string {
  return local.replace(/(\d\d:\d\d):00\b/, "$1");
}

/** How far away the time `iso` is, seen from `nowMs`: "in 3 h 4 min", "now". */
export function inText(iso: string, nowMs: number): string {
  const leftMs = Date.parse(iso) - nowMs;
  return leftMs < 1_000 ? "now" : `in ${span(leftMs)}`;
}
