// The life of a job, step by step.

import type { JobDetail, AttemptFailure } from "../forge/api";
import { span } from "../parts/format";
import type { Status } from "../parts/status";
import { statusOfJob } from "./job";

export type Step = {
  readonly at: string | null;
  readonly status: Status;
  /** The time since the step before, or until the step that is still to come. */
  readonly gap: string | null;
};

type Lived = Pick<JobDetail, "job" | "failedAttempts" | "subject">;

/** The steps of a job, oldest first. */
export function stepsOf({ job, failedAttempts, subject }: Lived, nowMs: number): readonly Step[] {
  const steps: { at: string | null; status: Status }[] = [
    { at: job.createdAt, status: { shape: "ring", tone: "dim", word: subject === null ? "dispatched" : `dispatched by ${subject}` } },
    ...failedAttempts.map(({ at, attempt }) => ({ at, status: { shape: "cross", tone: "bad", word: `attempt ${attempt} failed` } as const })),
  ];
  const now = statusOfJob(job, nowMs);
  const word = job.finishedAt === null && job.attempt < job.attemptsMax && job.status !== "running" ? `${now.word}: attempt ${job.attempt + 1} of ${job.attemptsMax}` : now.word;
  steps.push({ at: job.finishedAt ?? job.runAt, status: { ...now, word } });
  return steps.map((step, index) => ({ ...step, gap: gapOf(steps[index - 1]?.at ?? null, step.at, nowMs) }));
}

/** The times come from several clocks, so a step may seem earlier than the one before; then there is no gap. */
function gapOf(before: string | null, at: string | null, nowMs: number): string | null {
  if (before === null || at === null) return null;
  const atMs = Date.parse(at);
  if (atMs > nowMs) return `in ${span(atMs - nowMs)}`;
  const ms = atMs - Date.parse(before);
  return ms < 1 ? null : `after ${span(ms)}`;
}

/** Failures with the same error, the newest first, and the attempts that had it. */
export function errorsOf(failures: readonly AttemptFailure[]): readonly { readonly error: string; readonly attempts: readonly number[] }[] {
  const errors: { error: string; attempts: number[] }[] = [];
  for (const { error, attempt } of failures.toReversed()) {
    const known = errors.find((other) => other.error === error);
    if (known === undefined) errors.push({ error, attempts: [attempt] });
    else known.attempts.unshift(attempt);
  }
  return errors;
}
