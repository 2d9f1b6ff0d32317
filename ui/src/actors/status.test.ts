import { expect, test } from "vitest";
import type { ActorState } from "../forge/api";
import { isStuck, isSystem, mailboxTone, statusOf } from "./status";

const NOW = Date.parse("2026-11-21T12:00:00Z");

function word(state: ActorState): string {
  return statusOf({ state, current: null }, NOW).word;
}

test("a message that runs too long makes an actor stuck", () => {
  const row = { state: { is: "running" as const }, current: { name: "Claim", forMs: 10_001 } };
  expect(isStuck(row)).toBe(true);
  expect(statusOf(row, NOW).word).toBe("stuck");
  expect(isStuck({ ...row, current: { name: "Claim", forMs: 10_000 } })).toBe(false);
  expect(isStuck({ ...row, state: { is: "stopping" } })).toBe(false);
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
