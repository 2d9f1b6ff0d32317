import { expect, test } from "vitest";
import type { JobDetail, JobId, JobRow } from "../forge/api";
import { errorsOf, stepsOf } from "./timeline";

const NOW = Date.parse("2026-11-29T12:00:00Z");
const JOB: JobRow = {
  id: "0199" as JobId,
  name: "mail.send",
  queue: "mail",
  priority: 50,
  status: "retry",
  attempt: 2,
  attemptsMax: 8,
  node: null,
  tenant: null,
  blockedBy: null, waitsForJobs: false,
  lastError: "refused",
  createdAt: "2026-11-29T11:00:00Z",
  runAt: "2026-11-29T12:05:00Z",
  finishedAt: null,
};
const FAILURES = [
  { attempt: 1, claim: 1, at: "2026-11-29T11:00:05Z", error: "refused" },
  { attempt: 2, claim: 3, at: "2026-11-29T11:10:05Z", error: "timed out" },
];

function words(detail: Pick<JobDetail, "job" | "failedAttempts" | "subject">): string[] {
  return stepsOf(detail, NOW).map(({ status, gap }) => (gap === null ? status.word : `${status.word}, ${gap}`));
}

test("a job that is tried again", () => {
  expect(words({ job: JOB, failedAttempts: FAILURES, subject: "ana" })).toEqual([
    "dispatched by ana",
    "attempt 1 failed, after 5 s",
    "attempt 2 failed, after 10 min",
    "retry: attempt 3 of 8, in 5 min",
  ]);
});

test("a job that ended, without a wait below zero", () => {
  const done: JobRow = { ...JOB, status: "completed", finishedAt: "2026-11-29T11:10:04Z", runAt: null };
  expect(words({ job: done, failedAttempts: FAILURES, subject: null }).slice(2)).toEqual(["attempt 2 failed, after 10 min", "completed"]);
});

test("equal errors are shown once", () => {
  const again = [...FAILURES, { attempt: 3, claim: 4, at: "2026-11-29T11:20:00Z", error: "refused" }];
  expect(errorsOf(again)).toEqual([
    { error: "refused", attempts: [1, 3] },
    { error: "timed out", attempts: [2] },
  ]);
});
