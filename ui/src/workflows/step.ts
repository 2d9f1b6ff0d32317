// The appearance of the rows of a journal, and what a run waits for, in words.

import type { StepKind, WorkflowStatus, WorkflowStep, WorkflowWait } from "../forge/api";
import { count, duration, span } from "../parts/format";
import type { Status } from "../parts/status";
import { plainJson } from "./run";

/** What a step does, as people say it. */
export const KINDS: Readonly<Record<StepKind, string>> = {
  call: "step",
  closure: "step",
  transaction: "step in a transaction",
  sleep: "sleep",
  event: "event",
  signal: "signal",
  child: "child workflow",
  job: "job",
  race: "race",
  compensation: "compensation",
};

const WAITING: Readonly<Partial<Record<StepKind, string>>> = { sleep: "sleeping", child: "waits for the run", job: "waits for the job" };

/** The appearance of a step's status. */
export function statusOfStep({ kind, status, attempts }: Pick<WorkflowStep, "kind" | "status" | "attempts">): Status {
  const isUndo = kind === "compensation";
  switch (status) {
    case "running":
      return { shape: "turn", tone: isUndo ? "warn" : "ok", word: `${isUndo ? "compensating" : "running"}${attempts > 1 ? `, attempt ${count(attempts)}` : ""}` };
    case "interrupted":
      return { shape: "frame", tone: "warn", word: "interrupted" };
    case "retrying":
      return { shape: "hourglass", tone: "warn", word: `retrying, ${count(attempts)} failed` };
    case "waiting":
      return { shape: "ring", tone: "dim", word: WAITING[kind] ?? "waiting" };
    case "completed":
      return isUndo ? { shape: "square", tone: "warn", word: "compensated" } : { shape: "dot", tone: "ok", word: kind === "sleep" ? "slept" : kind === "event" || kind === "signal" ? "received" : "completed" };
    case "failed":
      return { shape: "cross", tone: "bad", word: "failed" };
    case "skipped":
      return { shape: "bars", tone: "dim", word: isUndo ? "skipped by a person" : isWait(kind) ? "timed out" : "failed, optional" };
    case "abandoned":
      return { shape: "frame", tone: "dim", word: "abandoned" };
  }
}

/** A row of the journal as it is seen in a run with this status. The compensation that has failed is not tried again until a person wants it. */
export function seenIn(status: WorkflowStatus, step: WorkflowStep): WorkflowStep {
  if (status !== "compensation_failed" || step.kind !== "compensation" || step.status !== "retrying") return step;
  return { ...step, status: "failed", finishedAt: step.failedAttempts.at(-1)?.at ?? step.startedAt };
}

/** What a row of the journal does. A child and a job have a row for their start, and one for the wait for their end. */
export function kindOf(step: Pick<WorkflowStep, "kind" | "compensates" | "awaits" | "output">): string {
  if (step.compensates !== null) return `takes back ${step.compensates}`;
  return isStart(step) ? `starts a ${step.kind}` : KINDS[step.kind];
}

/** Whether a row is the start of a child or a job: what it has returned names it. */
export function isStart({ kind, awaits, output }: Pick<WorkflowStep, "kind" | "awaits" | "output">): boolean {
  if ((kind !== "child" && kind !== "job") || awaits === null || output === null) return false;
  const started: unknown = JSON.parse(output);
  return typeof started === "object" && started !== null && Object.entries(started).some(([name, id]) => name === (kind === "job" ? "job" : "run") && id === awaits);
}

/** Whether a step only waits for what comes from outside or for a time. */
export function isWait(kind: StepKind): boolean {
  return kind === "sleep" || kind === "event" || kind === "signal" || kind === "child" || kind === "job";
}

/** How long a step took, or takes until now. */
export function tookText({ startedAt, finishedAt }: Pick<WorkflowStep, "startedAt" | "finishedAt">, nowMs: number): string {
  const fromMs = Date.parse(startedAt);
  return finishedAt === null ? span(Math.max(nowMs - fromMs, 0)) : duration(Math.max(Date.parse(finishedAt) - fromMs, 0));
}

/** The attempt of a step that is under way, or was when its node was lost, in a sentence; null when there is none. */
export function attemptText({ status, attempts, attemptAt }: Pick<WorkflowStep, "status" | "attempts" | "attemptAt">, nowMs: number): string | null {
  if (attemptAt === null) return null;
  const passed = span(Math.max(nowMs - Date.parse(attemptAt), 0));
  if (status === "interrupted") return `Attempt ${count(attempts)} was under way when its node was lost. It began ${passed} ago, and is made again.`;
  return `Under way since ${passed}, attempt ${count(attempts)}.`;
}

/** What a run waits for at a step, in a sentence without its subject: "waits for email_verified `7` since 2 h, times out in 22 h". */
export function waitText(wait: WorkflowWait, nowMs: number): string {
  const since = `since ${span(Math.max(nowMs - Date.parse(wait.since), 0))}`;
  const leftMs = wait.until === null ? null : Date.parse(wait.until) - nowMs;
  const left = leftMs === null || leftMs <= 0 ? "a moment" : span(leftMs);
  const limit = leftMs === null ? ", without a time limit" : `, times out in ${left}`;
  if (wait.isRetry) return `tries ${wait.kind === "compensation" ? "to take back " : ""}\`${wait.name}\` again in ${left}`;
  switch (wait.kind) {
    case "sleep":
      return `sleeps ${since}, wakes in ${left}`;
    case "event":
      return `waits for ${wait.event ?? wait.name}${wait.key === null ? "" : ` \`${plainJson(wait.key)}\``} ${since}${limit}`;
    case "signal":
      return `waits for the signal ${wait.event ?? wait.name} ${since}${limit}`;
    case "child":
      return `waits for the end of the child \`${wait.name}\` ${since}${limit}`;
    case "job":
      return `waits for the end of the job \`${wait.name}\` ${since}${limit}`;
    case "call":
    case "closure":
    case "transaction":
    case "race":
    case "compensation":
      return `waits at \`${wait.name}\` ${since}${limit}`;
  }
}
