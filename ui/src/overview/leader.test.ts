import { expect, test } from "vitest";
import { NOW, ended, leader } from "./cluster.fixture";
import { ledFor, statusOfEnded, statusOfLeader } from "./leader";

test("a leadership says how old its last renewal is", () => {
  expect(statusOfLeader(leader(), NOW)).toMatchObject({ tone: "ok", word: "renewed now" });
  const silent = leader({ state: "expired", renewedAt: "2026-11-21T11:59:48Z" });
  expect(statusOfLeader(silent, NOW)).toMatchObject({ tone: "bad", word: "no leader, last renewed 12 s ago" });
});

test("a leader that stepped down does not look as if it led", () => {
  const resigned = leader({ state: "resigned", resignedAt: "2026-11-21T11:58:00Z" });
  expect(statusOfLeader(resigned, NOW)).toMatchObject({ tone: "warn", word: "resigned 2 min ago" });
});

test("an ended term says how it ended, and how long it lasted as far as is known", () => {
  expect(statusOfEnded(ended(), NOW).word).toBe("resigned 1 min ago");
  expect(ledFor(ended())).toBe("1 h");
  const lost = ended({ reason: "lost", renewedAt: "2026-11-21T11:29:00Z" });
  expect(statusOfEnded(lost, NOW).word).toBe("lost 1 min ago");
  expect(ledFor(lost)).toBe("at least 30 min");
});
