// The appearance of jobs, and what can be done with them.

import type { JobAction, JobRow, JobStatus } from "../forge/api";
import type { ActionWords } from "../parts/bulk";
import { ago, span } from "../parts/format";
import type { Status } from "../parts/status";

type Waiting = Pick<JobRow, "status" | "blockedBy" | "waitsForJobs" | "runAt">;

/** The appearance of a job's status at `nowMs`. */
export function statusOfJob(job: Waiting, nowMs: number): Status {
  switch (job.status) {
    case "pending":
    case "retry":
      return waiting(job, nowMs);
    case "claimed":
      return { shape: "dot", tone: "dim", word: "claimed" };
    case "running":
      return { shape: "turn", tone: "ok", word: "running" };
    case "completed":
      return { shape: "dot", tone: "ok", word: "completed" };
    case "failed":
      return { shape: "cross", tone: "bad", word: "failed" };
    case "dead_letter":
      return { shape: "cross", tone: "bad", word: "dead letter" };
    case "cancelled":
      return { shape: "square", tone: "dim", word: "cancelled" };
  }
}

function waiting(job: Waiting, nowMs: number): Status {
  const tone = job.status === "retry" ? "warn" : "dim";
  const word = job.status === "retry" ? "retry" : "";
  if (job.blockedBy !== null) return { shape: "bars", tone: "warn", word: "blocked" };
  if (job.waitsForJobs) return { shape: "bars", tone: "dim", word: "waiting" };
  const isDue = job.runAt !== null && Date.parse(job.runAt) <= nowMs;
  return isDue ? { shape: "hourglass", tone, word: word || "due" } : { shape: "ring", tone, word: word || "scheduled" };
}

/** When a job is to run, or what became of it and when: "for 3 min", "in 4 h", "12 s ago". */
export function whenText(job: Waiting & Pick<JobRow, "createdAt" | "finishedAt">, nowMs: number): string {
  if (job.finishedAt !== null) return ago(nowMs - Date.parse(job.finishedAt));
  if (job.status === "claimed" || job.status === "running") return `dispatched ${ago(nowMs - Date.parse(job.createdAt))}`;
  if (job.blockedBy !== null) return `by ${job.blockedBy}`;
  if (job.waitsForJobs) return "for other jobs";
  if (job.runAt === null) return "";
  const leftMs = Date.parse(job.runAt) - nowMs;
  return leftMs > 0 ? `in ${span(leftMs)}` : `for ${span(-leftMs)}`;
}

/** The statuses of jobs that an action changes. */
export const ACTIONABLE: Readonly<Record<JobAction, readonly JobStatus[]>> = {
  retry: ["pending", "retry", "failed", "dead_letter", "cancelled"],
  cancel: ["pending", "claimed", "running", "retry"],
  discard: ["pending", "retry", "failed", "dead_letter"],
};

/** An action as buttons and messages name it. */
export const ACTIONS: Readonly<Record<JobAction, ActionWords>> = {
  retry: { verb: "Retry", done: "retried", means: "A job that waits runs at once; one that ended without success gets all of its attempts again." },
  cancel: { verb: "Cancel", done: "cancelled", means: "A job that waits ends at once; one that runs is cut within seconds, and what it still writes through its job is refused." },
  discard: { verb: "Discard", done: "discarded", means: "The job leaves the lists of what waits and of what failed: it is cancelled, and stays in the history." },
};

/** Whether the node does this to the job. One that waits for other jobs runs when they have ended, and not before. */
export function can(action: JobAction, { status, waitsForJobs }: Pick<JobRow, "status" | "waitsForJobs">): boolean {
  return ACTIONABLE[action].includes(status) && !(action === "retry" && waitsForJobs);
}
