import { expect, test } from "vitest";
import type { JobId, JobRow } from "../forge/api";
import { type ShownRow, heldRows, idAfter, newer, replaced } from "./held";

function job(id: number, change: Partial<JobRow> = {}): JobRow {
  return {
    id: String(id).padStart(4, "0") as JobId,
    name: "mail.send",
    queue: "mail",
    priority: 50,
    status: "pending",
    attempt: 0,
    attemptsMax: 8,
    node: null,
    tenant: null,
    blockedBy: null, waitsForJobs: false,
    lastError: null,
    createdAt: "2026-11-29T12:00:00Z",
    runAt: "2026-11-29T12:00:00Z",
    finishedAt: null,
    ...change,
  };
}

const shown = replaced([job(9), job(8), job(7)]);

function ids(rows: readonly ShownRow<JobRow>[]): string {
  return rows.map(({ row: { id, status }, isGone }) => `${Number(id)}${status === "pending" ? "" : ` ${status}`}${isGone ? " gone" : ""}`).join(", ");
}

test("rows change in their places, and new ones wait", () => {
  expect(ids(heldRows(shown, [job(12), job(9), job(8, { status: "running" }), job(7)]))).toBe("9, 8 running, 7");
});

test("a row that left stays where it was, and comes back", () => {
  const without = heldRows(shown, [job(9), job(7), job(6)]);
  expect(ids(without)).toBe("9, 8 gone, 7, 6");
  expect(ids(heldRows(without, [job(9), job(8), job(7), job(6)]))).toBe("9, 8, 7, 6");
  expect(ids(heldRows(shown, []))).toBe("9 gone, 8 gone, 7 gone");
});

test("what an answer does not reach is not gone", () => {
  expect(ids(heldRows(shown, [job(12), job(11), job(8)]))).toBe("9 gone, 8, 7");
});

test("new rows are counted", () => {
  expect(newer([job(12), job(11), job(9)], "0009" as JobId)).toEqual({ count: 2, isMore: false });
  expect(newer([job(12), job(11)], "0009" as JobId)).toEqual({ count: 2, isMore: true });
  expect(newer([], "0009" as JobId)).toEqual({ count: 0, isMore: false });
});

test("the id after an id", () => {
  expect(idAfter("01a228a5-88d6-751f-a01b-e58337a0498b" as JobId)).toBe("01a228a5-88d6-751f-a01b-e58337a0498c");
  expect(idAfter("01a228a5-88d6-751f-a01b-ffffffffffff" as JobId)).toBe("01a228a5-88d6-751f-a01c-000000000000");
});
