import { expect, test } from "vitest";
import { consequence, refusal, wordFor } from "./actions";
import { crashText } from "./crash";

const session = { kind: "session", path: "node/gateway/sessions/7f3a", state: "running", nodeName: "node-1", children: 0, supervisor: false } as const;
const sessions = { ...session, kind: "sessions", path: "node/gateway/sessions", children: 1_200, supervisor: true } as const;

test("the root and what has ended are left alone", () => {
  expect(refusal({ path: "node", state: "running" })).toMatch("root");
  expect(refusal({ path: "node/jobs", state: "stopped" })).toMatch("ended");
  expect(refusal(session)).toBeNull();
});

test("a system actor wants its name typed", () => {
  expect(wordFor(session)).toBeNull();
  expect(wordFor(sessions)).toBe("sessions");
});

test("says how many go down with it", () => {
  expect(consequence("restart", sessions)).toBe("It and 1,200 actors below it stop, then start again. Messages that wait are lost.");
  expect(consequence("stop", session)).toBe("It stops. Whether it comes back is up to its supervisor.");
});

test("a crash as text leaves out what is not known", () => {
  const crash = { at: "2026-11-21T12:00:00Z", cause: "index out of bounds", location: "src/a.rs:3:1", backtrace: null, message: null };
  expect(crashText(crash)).toBe("index out of bounds\nsrc/a.rs:3:1\nat 2026-11-21T12:00:00Z");
});
