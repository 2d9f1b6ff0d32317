import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { FollowedWorkflow, WorkflowHandle } from "../src/index.js";
import type { TaskError } from "./api.js";
import { FakeNode, settled } from "./node.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const ID = "0193a5b0-0000-7000-8000-000000000000";
const NEXT = "0193a5b0-0000-7000-8000-000000000001";
const handle = ID as WorkflowHandle<{ tasks: number }, TaskError>;

const run = (more: Partial<FollowedWorkflow>): FollowedWorkflow => ({
  id: ID,
  run: ID,
  status: "ready",
  dueAt: null,
  published: null,
  result: null,
  failure: null,
  createdAt: "2026-01-01T00:00:00Z",
  finishedAt: null,
  ...more,
});

test("a run is followed from its start to its result", async () => {
  const node = new FakeNode();
  const archived = node.forge.workflow(handle);
  const seen: unknown[] = [];
  expect(archived.current).toMatchObject({ status: "loading", isEnded: false, result: undefined });
  archived.subscribe(() => seen.push([archived.current.status, archived.current.published]));
  const socket = await node.live();
  expect(socket.sub("forge.workflowStatus")).toMatchObject({ args: { id: ID } });
  socket.result("forge.workflowStatus", run({ status: "running" }));
  expect(archived.current, "the same object until something changes").toBe(archived.current);
  socket.result("forge.workflowStatus", run({ status: "waiting", dueAt: "2026-01-08T00:00:00Z", published: { left: 2 } }));
  expect(archived.current.dueAt).toEqual(new Date("2026-01-08T00:00:00Z"));
  socket.result("forge.workflowStatus", run({ run: NEXT, status: "ready", published: { left: 2 } }));
  socket.result("forge.workflowStatus", run({ run: NEXT, status: "completed", published: { left: 0 }, result: { tasks: 2 } }));
  expect(seen).toEqual([
    ["running", null],
    ["waiting", { left: 2 }],
    ["ready", { left: 2 }],
    ["completed", { left: 0 }],
  ]);
  const { current } = archived;
  expect(current.status === "completed" && current.result.tasks).toBe(2);
  socket.end();
  expect(archived.current, "the last state is kept").toMatchObject({ status: "completed", isStale: true });
});

test("a run that ended without success has its workflow's own error or one of the system", async () => {
  const node = new FakeNode();
  const archived = node.forge.workflow(handle);
  archived.subscribe(() => undefined);
  const socket = await node.live();
  socket.result("forge.workflowStatus", run({ status: "compensating" }));
  expect(archived.current).toMatchObject({ status: "compensating", isEnded: false, error: undefined });
  const own = { code: "LIMIT_REACHED", message: "too many", details: { max: 7 }, isOwn: true };
  socket.result("forge.workflowStatus", run({ status: "failed", failure: own }));
  const error = archived.current.error;
  expect(error?.kind === "app" && error.app.code === "LIMIT_REACHED" && error.app.details.max).toBe(7);
  const ended = { code: "TERMINATED", message: "the run was terminated", details: null, isOwn: false };
  socket.result("forge.workflowStatus", run({ run: NEXT, status: "terminated", failure: ended }));
  expect(archived.current).toMatchObject({ isEnded: true, error: { kind: "system", system: { code: "TERMINATED", traceId: ID } } });
});

test("a run that there is not for this user is unknown", async () => {
  const node = new FakeNode();
  const archived = node.forge.workflow(handle);
  archived.subscribe(() => undefined);
  const socket = await node.live();
  socket.transition([{ id: socket.sub("forge.workflowStatus").id, error: { code: "NOT_FOUND", message: "there is no run" } }]);
  expect(archived.current).toMatchObject({ status: "unknown", isEnded: false, error: { system: { code: "NOT_FOUND" } } });
  archived.retry();
  expect(socket.of("sub")).toHaveLength(2);
});

test("cancel goes to the node, and its answer comes back without the run", async () => {
  const node = new FakeNode();
  const socket = await node.live();
  const cancelling = node.forge.workflow(handle).cancel();
  await settled();
  const [sent] = socket.of("mut");
  expect(sent).toMatchObject({ name: "forge.cancelMyWorkflow", args: { id: ID } });
  socket.receive({ type: "mutResult", id: sent?.id, data: run({ status: "ready" }) });
  expect(await cancelling).toEqual({ ok: true, data: undefined });
  node.forge.close();
  expect(await node.forge.workflow(handle).cancel()).toMatchObject({ ok: false, error: { system: { code: "CANCELLED" } } });
});
