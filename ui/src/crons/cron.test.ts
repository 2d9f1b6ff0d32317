import { expect, test } from "vitest";
import type { CronRunRow } from "../forge/api";
import { courseOf, inText, originOf, stateText, statusOfCron, statusOfRun, withoutZeroSeconds } from "./cron";

const RUN: CronRunRow = {
  scheduledAt: "2026-11-29T12:00:00Z",
  lastAt: "2026-11-29T12:00:00Z",
  times: 1,
  status: "completed",
  reason: null,
  isCatchUp: false,
  isLate: false,
  requestedBy: null,
  job: null,
  lastError: null,
  startedAt: "2026-11-29T12:00:00.040Z",
  finishedAt: "2026-11-29T12:00:01.240Z",
};

test("a cron that brings no runs says why", () => {
  const cron = { state: "no_handler", handler: "reports.daily", problem: null } as const;
  expect(stateText(cron)).toContain("no handler reports.daily");
  expect(stateText({ ...cron, state: "broken", problem: "the date never comes" })).toBe("the date never comes");
  expect(stateText({ ...cron, state: "active" })).toBeNull();
  expect(statusOfCron({ state: "no_handler" }).word).toBe("no handler");
});

test("late, skipped and overlapped runs differ by shape and word", () => {
  const kinds: Partial<CronRunRow>[] = [
    {},
    { isLate: true },
    { status: "dead_letter" },
    { status: "cancelled" },
    { status: "dispatched" },
    { status: "dispatched", startedAt: null },
    { status: "skipped", reason: "missed", times: 60 },
    { status: "skipped", reason: "overlap" },
  ];
  const statuses = kinds.map((kind) => statusOfRun({ ...RUN, ...kind }));
  expect(new Set(statuses.map(({ shape }) => shape)).size).toBe(statuses.length);
  expect(new Set(statuses.map(({ word }) => word)).size).toBe(statuses.length);
  expect(statuses[6]?.word).toBe("60 times missed");
});

test("the course of a run", () => {
  expect(courseOf(RUN, 0)).toBe("began 40 ms after its time, took 1.2 s");
  expect(courseOf({ ...RUN, finishedAt: null }, Date.parse("2026-11-29T12:00:09Z"))).toBe("began 40 ms after its time, runs for 8 s");
  expect(courseOf({ ...RUN, startedAt: null }, 0)).toBe("");
});

test("a run that the schedule did not bring says where it came from", () => {
  expect(originOf(RUN)).toBeNull();
  expect(originOf({ ...RUN, isCatchUp: true })).toBe("made up for");
  expect(originOf({ ...RUN, requestedBy: "ana" })).toBe("requested by ana");
});

test("the time until the next run", () => {
  const now = Date.parse("2026-11-29T12:00:00Z");
  expect(inText("2026-11-29T15:04:00Z", now)).toBe("in 3 h 4 min");
  expect(inText("2026-11-29T11:59:00Z", now)).toBe("now");
  expect(withoutZeroSeconds("2026-03-30 09:00:00 CEST")).toBe("2026-03-30 09:00 CEST");
  expect(withoutZeroSeconds("2026-03-30 09:00:30 +11")).toBe("2026-03-30 09:00:30 +11");
});
