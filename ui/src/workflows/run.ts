// The appearance of runs, and what can be done with them.

import type { WorkflowAction, WorkflowFilter, WorkflowRow, WorkflowStatus, WorkflowVersion } from "../forge/api";
import type { ActionWords } from "../parts/bulk";
import { ago, span } from "../parts/format";
import type { Status } from "../parts/status";

/** Every status, those of runs that have not ended first. */
export const STATUSES: readonly WorkflowStatus[] = [
  "ready",
  "running",
  "waiting",
  "compensating",
  "paused",
  "diverged",
  "compensation_failed",
  "completed",
  "failed",
  "cancelled",
  "terminated",
  "continued",
];

/** The appearance of a run's status. */
export function statusOfRun(status: WorkflowStatus): Status {
  switch (status) {
    case "ready":
      return { shape: "hourglass", tone: "dim", word: "ready" };
    case "running":
      return { shape: "turn", tone: "ok", word: "running" };
    case "waiting":
      return { shape: "ring", tone: "dim", word: "waiting" };
    case "compensating":
      return { shape: "turn", tone: "warn", word: "compensating" };
    case "paused":
      return { shape: "bars", tone: "warn", word: "paused" };
    case "diverged":
      return { shape: "frame", tone: "bad", word: "diverged" };
    case "compensation_failed":
      return { shape: "cross", tone: "bad", word: "compensation failed" };
    case "completed":
      return { shape: "dot", tone: "ok", word: "completed" };
    case "failed":
      return { shape: "cross", tone: "bad", word: "failed" };
    case "cancelled":
      return { shape: "square", tone: "dim", word: "cancelled" };
    case "terminated":
      return { shape: "square", tone: "warn", word: "terminated" };
    case "continued":
      return { shape: "dot", tone: "dim", word: "continued" };
  }
}

/** What a status means, where its word alone does not say what a person can do. */
export const MEANINGS: Readonly<Partial<Record<WorkflowStatus, string>>> = {
  ready: "A node that has its version takes it when it is due.",
  paused: "A person has paused it, or its executions ended without progress too often (the error says so then): it goes on when it is resumed.",
  diverged: "The code does not fit the journal. The run goes on when it is retried by a node whose code fits, or after a migration of its journal.",
  compensation_failed: "What the run has done is taken back in part only: retry the compensation that has failed, or skip it.",
  continued: "It went on as a new run.",
};

/** Whether a run has ended. */
export function isEnded({ finishedAt }: Pick<WorkflowRow, "finishedAt">): boolean {
  return finishedAt !== null;
}

/** When a run goes on, or what became of it and when: "4 h left", "for 3 min", "started 2 h ago", "12 s ago". */
export function whenText(run: Pick<WorkflowRow, "status" | "dueAt" | "createdAt" | "finishedAt">, nowMs: number): string {
  if (run.finishedAt !== null) return ago(nowMs - Date.parse(run.finishedAt));
  const leftMs = run.dueAt === null ? null : Date.parse(run.dueAt) - nowMs;
  if (run.status === "waiting") return leftMs === null ? "without a time limit" : leftMs > 0 ? `${span(leftMs)} left` : "is due";
  if (run.status === "ready" && leftMs !== null) return leftMs > 0 ? `in ${span(leftMs)}` : `for ${span(-leftMs)}`;
  return `started ${ago(nowMs - Date.parse(run.createdAt))}`;
}

/** The key of a run or of an event: a text without its quotes, and other JSON as it is. */
export function plainJson(json: string): string {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "string" ? value : json;
  } catch {
    return json;
  }
}

/** Whether no code of the answering node fits the version of a run that has not ended. */
export function hasNoCode(run: Pick<WorkflowRow, "workflow" | "version" | "finishedAt">, withoutCode: readonly WorkflowVersion[]): boolean {
  return !isEnded(run) && withoutCode.some(({ workflow, version }) => workflow === run.workflow && version === run.version);
}

const ACTIONABLE: Readonly<Record<WorkflowAction, readonly WorkflowStatus[]>> = {
  retry: ["diverged", "compensation_failed", "failed", "cancelled", "terminated"],
  resume: ["paused"],
  pause: ["ready", "running", "waiting"],
  cancel: ["ready", "running", "waiting", "paused", "diverged"],
  terminate: ["ready", "running", "waiting", "compensating", "paused", "diverged", "compensation_failed"],
};

/** An action as buttons and messages name it. */
export const ACTIONS: Readonly<Record<WorkflowAction, ActionWords>> = {
  retry: {
    verb: "Retry",
    done: "retried",
    means: "A run that has diverged, or whose compensation has failed, is retried where it stands. One that ended without success executes the step again whose failure has ended it.",
  },
  resume: { verb: "Resume", done: "resumed", means: "A paused run goes on." },
  pause: { verb: "Pause", done: "paused", means: "A run that waits is paused at once, another one when the steps that are under way have ended." },
  cancel: { verb: "Cancel", done: "cancelled", means: "The run takes back what it has completed, in reverse order, and ends. Children that end with it are cancelled too." },
  terminate: { verb: "Terminate", done: "terminated", means: "The run ends as it is. Nothing is compensated, and what its node still writes for it is refused." },
};

type Acted = Pick<WorkflowRow, "status" | "request">;

/** Whether the node does this to a run. */
export function can(action: WorkflowAction, { status, request }: Acted): boolean {
  if (action === "resume" && request === "pause") return true;
  if (action === "cancel" && request === "cancel") return false;
  if (action === "pause" && request !== null) return false;
  return ACTIONABLE[action].includes(status);
}

/** Whether a run can be brought back from a step: one that has ended without success. */
export function canRetryFrom({ status }: Pick<WorkflowRow, "status">): boolean {
  return status === "failed" || status === "cancelled" || status === "terminated";
}

/** What a person has asked of a run that its node has not done yet. */
export function requestText({ status, request, node }: Pick<WorkflowRow, "status" | "request" | "node">): string | null {
  if (request === null) return null;
  if (status === "diverged" && request === "cancel") return "It is to be cancelled: code that fits its journal takes back what it has completed when it is retried. Or terminate it as it is.";
  const by = node ?? "The next node that takes it";
  return request === "pause" ? `${by} pauses it when the steps that are under way have ended.` : `${by} takes back what it has completed, and ends it.`;
}

/** A filter without parts that say nothing. */
export type WholeFilter = { readonly [Key in keyof WorkflowFilter]-?: Exclude<WorkflowFilter[Key], undefined> };
