import { expect, test } from "vitest";
import type { NodeId, RecordedCrash } from "../forge/api";
import { crashText, handlerOf } from "./crash";

const CRASH: RecordedCrash = {
  node: "n1" as NodeId,
  path: "node/functions/tasks.create",
  kind: "mutation",
  cause: "no title",
  message: null,
  backtrace: null,
  restarts: 0,
  occurrences: 1,
  at: "2026-11-21T12:00:00Z",
};

test("a crash of a handler names the handler, a crash of an actor does not", () => {
  expect(handlerOf(CRASH)).toBe("tasks.create");
  expect(handlerOf({ path: "node/jobs/mail.send", kind: "job" })).toBe("mail.send");
  expect(handlerOf({ path: "node/telemetry/crashes", kind: "crash_sink" })).toBeNull();
});

test("the text of a crash has all known fields, and no empty lines", () => {
  expect(crashText(CRASH)).toBe("no title\nnode/functions/tasks.create (mutation) on n1\nat 2026-11-21T12:00:00Z");
  expect(crashText({ ...CRASH, message: "Deliver", backtrace: "0: main" })).toContain("while handling Deliver\nat 2026-11-21T12:00:00Z\n0: main");
});
