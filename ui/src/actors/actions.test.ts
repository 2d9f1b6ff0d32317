import { expect, test } from "vitest";
import { consequence, refusal, confirmationWord } from "./actions";

const session = { kind: "session", path: "node/gateway/sessions/7f3a", children: 0 };
const sessions = { kind: "sessions", path: "node/gateway/sessions", children: 1_200 };

test("the root takes no command, and a stopped actor can only be restarted", () => {
  const jobs = { kind: "supervisor", path: "node/jobs" };
  expect(refusal("restart", { ...jobs, path: "node", state: { is: "running" } })).toMatch("root");
  expect(refusal("stop", { ...jobs, state: { is: "stopped" } })).toMatch("stopped");
  expect(refusal("restart", { ...jobs, state: { is: "stopped" } })).toBeNull();
  expect(refusal("stop", { ...jobs, state: { is: "failed" } })).toBeNull();
});

test("a session cannot be restarted, since only its client can start one", () => {
  expect(refusal("restart", { ...session, state: { is: "running" } })).toMatch("client");
  expect(refusal("stop", { ...session, state: { is: "running" } })).toBeNull();
});

test("a command for an actor of the node is confirmed by its name", () => {
  expect(confirmationWord(session)).toBeNull();
  expect(confirmationWord(sessions)).toBe("sessions");
});

test("the consequence counts the actors below", () => {
  expect(consequence("restart", sessions)).toBe("It and 1,200 actors below it stop, then start again. Messages that wait are lost.");
  expect(consequence("restart", { kind: "worker", children: 0 })).toBe("It stops, then starts again. Messages that wait are lost.");
  expect(consequence("stop", sessions)).toMatch("stay so until an administrator restarts it");
  expect(consequence("stop", session)).toBe("It stops, and its client connects again.");
});
