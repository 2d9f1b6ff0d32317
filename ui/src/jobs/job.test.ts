import { expect, test } from "vitest";
import type { JobStatus } from "../forge/api";
import { can, statusOfJob, whenText } from "./job";
import { STATUSES } from "./query";

const NOW = Date.parse("2026-11-29T12:00:00Z");
const LATER = "2026-11-29T16:00:00Z";
const EARLIER = "2026-11-29T11:57:00Z";

function of(status: JobStatus, runAt: string | null = null, blockedBy: string | null = null) {
  return { status, runAt, blockedBy, waitsForJobs: false, createdAt: EARLIER, finishedAt: null };
}

test("a job that waits says for what", () => {
  expect(statusOfJob(of("pending", EARLIER), NOW).word).toBe("due");
  expect(statusOfJob(of("pending", LATER), NOW).word).toBe("scheduled");
  expect(statusOfJob(of("pending", EARLIER, "tenant:7"), NOW).word).toBe("blocked");
  expect(statusOfJob({ ...of("pending", EARLIER), waitsForJobs: true }, NOW).word).toBe("waiting");
  expect(statusOfJob(of("retry", LATER), NOW)).toEqual({ shape: "ring", tone: "warn", word: "retry" });
});

test("no two statuses look the same without their colours", () => {
  const looks = STATUSES.map((status) => statusOfJob(of(status, EARLIER), NOW)).map(({ shape, word }) => `${shape} ${word}`);
  expect(new Set(looks).size).toBe(looks.length);
});

test("the time that matters", () => {
  expect(whenText(of("pending", EARLIER), NOW)).toBe("for 3 min");
  expect(whenText(of("retry", LATER), NOW)).toBe("in 4 h");
  expect(whenText(of("pending", EARLIER, "tenant:7"), NOW)).toBe("by tenant:7");
  expect(whenText({ ...of("pending", EARLIER), waitsForJobs: true }, NOW)).toBe("for other jobs");
  expect(whenText(of("running"), NOW)).toBe("dispatched 3 min ago");
  expect(whenText({ ...of("failed"), finishedAt: "2026-11-29T11:59:48Z" }, NOW)).toBe("12 s ago");
});

test("what can be done with a job", () => {
  expect(STATUSES.filter((status) => can("retry", of(status)))).toEqual(["pending", "retry", "failed", "dead_letter", "cancelled"]);
  expect(can("discard", of("running"))).toBe(false);
  expect(can("cancel", of("running"))).toBe(true);
  expect(can("retry", { ...of("pending"), waitsForJobs: true })).toBe(false);
});
