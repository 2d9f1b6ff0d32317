import { expect, test } from "vitest";
import type { ActorState } from "../forge/api";
import { doingOf, isStuck, isSystem, mailboxTone, statusOf } from "./status";

const NOW = Date.parse("2026-11-21T12:00:00Z");

function word(state: ActorState): string {
  return statusOf({ state, current: null }, NOW).word;
}

test("a message that runs too long makes an actor stuck", () => {
  const row = { state: { is: "running" as const }, current: { name: "Claim", forMs: 10_001, work: null } };
  expect(isStuck(row)).toBe(true);
  expect(statusOf(row, NOW).word).toBe("stuck");
  expect(isStuck({ ...row, current: { name: "Claim", forMs: 10_000, work: null } })).toBe(false);
  expect(isStuck({ ...row, state: { is: "stopping" } })).toBe(false);
});

test("a worker is stuck when its job outlasts the job's own time limit", () => {
  const row = (forMs: number, limitMs: number) => {
    const work = { handler: "mail.send", id: "0192", forMs, limitMs };
    return { state: { is: "running" as const }, current: { name: "Run", forMs: 3_600_000, work } };
  };
  expect(isStuck(row(900_000, 3_600_000))).toBe(false);
  expect(isStuck(row(7_001, 5_000))).toBe(true);
  expect(isStuck(row(6_900, 5_000))).toBe(false);
  expect(doingOf(row(7_001, 5_000).current)).toEqual({ name: "mail.send", id: "0192", forMs: 7_001, limitMs: 5_000 });
});

test("a pending restart shows its time", () => {
  expect(word({ is: "waiting", until: "2026-11-21T12:00:03.400Z" })).toBe("restart in 3 s");
  expect(word({ is: "waiting", until: "2026-11-21T12:00:00.400Z" })).toBe("restarting");
});

test("every state has its own word", () => {
  const plain = (["starting", "running", "stopping", "stopped", "failed"] as const).map((is) => word({ is }));
  const words = [...plain, word({ is: "waiting", until: "2026-11-21T12:00:00Z" })];
  expect(new Set(words).size).toBe(words.length);
});

test("a session is not part of the node", () => {
  expect(isSystem({ kind: "session" })).toBe(false);
  expect(isSystem({ kind: "listener" })).toBe(true);
});

test("a mailbox warns before it is full", () => {
  const tone = (mailbox: number, mailboxMax = 100) => mailboxTone({ mailbox, mailboxMax });
  expect([tone(49), tone(50), tone(90), tone(0, 0)]).toEqual(["accent", "warn", "bad", "accent"]);
});
