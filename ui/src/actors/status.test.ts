import { expect, test } from "vitest";
import { isStuck, isSystem, statusOf } from "./status";

const NOW = Date.parse("2026-11-21T12:00:00Z");
const still = { stateUntil: null, current: null };

test("a message that runs too long makes an actor stuck", () => {
  const row = { ...still, state: "running" as const, current: { name: "Claim", forMs: 10_001 } };
  expect(isStuck(row)).toBe(true);
  expect(statusOf(row, NOW).word).toBe("stuck");
  expect(isStuck({ ...row, current: { name: "Claim", forMs: 10_000 } })).toBe(false);
  expect(isStuck({ ...row, state: "stopping" })).toBe(false);
});

test("a restart says when", () => {
  const row = { ...still, state: "waiting" as const };
  expect(statusOf({ ...row, stateUntil: "2026-11-21T12:00:03.400Z" }, NOW).word).toBe("restart in 3 s");
  expect(statusOf({ ...row, stateUntil: "2026-11-21T12:00:00.400Z" }, NOW).word).toBe("restarting");
  expect(statusOf(row, NOW).word).toBe("restarting");
});

test("no two states share shape and word", () => {
  const states = ["starting", "running", "waiting", "stopping", "stopped", "failed"] as const;
  const words = states.map((state) => statusOf({ ...still, state }, NOW).word);
  expect(new Set(words).size).toBe(states.length);
});

test("a session is no part of the node", () => {
  expect(isSystem({ kind: "session" })).toBe(false);
  expect(isSystem({ kind: "listener" })).toBe(true);
});
