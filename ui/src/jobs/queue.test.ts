import { expect, test } from "vitest";
import { readLimit, statusOfQueue } from "./queue";

const QUEUE = { pausedAt: null, concurrencyMax: null, held: 0, unserved: [], due: { count: 3, isMore: false } };

test("what holds up a queue", () => {
  expect(statusOfQueue(QUEUE).word).toBe("runs");
  expect(statusOfQueue({ ...QUEUE, concurrencyMax: 2, held: 2 }).word).toBe("at its limit");
  expect(statusOfQueue({ ...QUEUE, concurrencyMax: 2, held: 2, due: { count: 0, isMore: false } }).word).toBe("runs");
  expect(statusOfQueue({ ...QUEUE, unserved: ["mail.send"], concurrencyMax: 2, held: 2 }).word).toBe("no node can run it");
  expect(statusOfQueue({ ...QUEUE, unserved: ["mail.send"], pausedAt: "2026-11-29T12:00:00Z" }).word).toBe("paused");
});

test("a limit is a whole number, or none", () => {
  expect(readLimit(" ")).toBeNull();
  expect(readLimit("1,000")).toBe(1_000);
  for (const text of ["0", "-1", "1.5", "two", "1000001"]) expect(readLimit(text), text).toBeUndefined();
});
