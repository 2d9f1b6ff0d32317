import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { FollowedJob, JobHandle } from "../src/index.js";
import type { TaskError } from "./api.js";
import { FakeNode, settled } from "./node.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const ID = "0193a5b0-0000-7000-8000-000000000000";
const handle = ID as JobHandle<{ url: string }, TaskError>;

const job = (more: Partial<FollowedJob>): FollowedJob => ({
  id: ID,
  status: "pending",
  attempt: 0,
  attemptsMax: 3,
  runAt: null,
  progress: null,
  message: null,
  result: null,
  failure: null,
  createdAt: "2026-01-01T00:00:00Z",
  finishedAt: null,
  ...more,
});

test("a job is followed from its dispatch to its result", async () => {
  const node = new FakeNode();
  const exported = node.forge.job(handle);
  const seen: unknown[] = [];
  expect(exported.current).toMatchObject({ status: "loading", isEnded: false, result: undefined });
  exported.subscribe(() => seen.push([exported.current.status, exported.current.progress, exported.current.message]));
  const socket = await node.live();
  expect(socket.sub("forge.jobStatus")).toMatchObject({ args: { id: ID } });
  socket.result("forge.jobStatus", job({ runAt: "2026-01-01T00:05:00Z" }));
  expect(exported.current.runAt).toEqual(new Date("2026-01-01T00:05:00Z"));
  expect(exported.current, "the same object until something changes").toBe(exported.current);
  socket.result("forge.jobStatus", job({ status: "running", attempt: 1, progress: 0.5, message: "half" }));
  socket.result("forge.jobStatus", job({ status: "completed", attempt: 1, progress: 1, message: "half", result: { url: "/x" } }));
  expect(seen).toEqual([
    ["pending", null, null],
    ["running", 0.5, "half"],
    ["completed", 1, "half"],
  ]);
  const { current } = exported;
  expect(current.status === "completed" && current.result.url).toBe("/x");
  socket.end();
  expect(exported.current, "the last state is kept").toMatchObject({ status: "completed", isStale: true });
});

test("a failure is the handler's own error or one of the system", async () => {
  const node = new FakeNode();
  const exported = node.forge.job(handle);
  exported.subscribe(() => undefined);
  const socket = await node.live();
  const own = { code: "LIMIT_REACHED", message: "too many", details: { max: 7 }, isOwn: true };
  socket.result("forge.jobStatus", job({ status: "dead_letter", failure: own }));
  const error = exported.current.error;
  expect(error?.kind === "app" && error.app.code === "LIMIT_REACHED" && error.app.details.max).toBe(7);
  const cancelled = { code: "CANCELLED", message: "the job was cancelled", details: null, isOwn: false };
  socket.result("forge.jobStatus", job({ status: "cancelled", failure: cancelled }));
  expect(exported.current).toMatchObject({ isEnded: true, error: { kind: "system", system: { code: "CANCELLED", traceId: ID } } });
});

test("a job that there is not for this user is unknown", async () => {
  const node = new FakeNode();
  const exported = node.forge.job(handle);
  exported.subscribe(() => undefined);
  const socket = await node.live();
  socket.transition([{ id: socket.sub("forge.jobStatus").id, error: { code: "NOT_FOUND", message: "there is no job" } }]);
  expect(exported.current).toMatchObject({ status: "unknown", isEnded: false, error: { system: { code: "NOT_FOUND" } } });
  exported.retry();
  expect(socket.of("sub")).toHaveLength(2);
});

test("cancel goes to the node, and its answer comes back without the job", async () => {
  const node = new FakeNode();
  const socket = await node.live();
  const cancelling = node.forge.job(handle).cancel();
  await settled();
  const [sent] = socket.of("mut");
  expect(sent).toMatchObject({ name: "forge.cancelMyJob", args: { id: ID } });
  socket.receive({ type: "mutResult", id: sent?.id, data: job({ status: "cancelled" }) });
  expect(await cancelling).toEqual({ ok: true, data: undefined });
  node.forge.close();
  expect(await node.forge.job(handle).cancel()).toMatchObject({ ok: false, error: { system: { code: "CANCELLED" } } });
});
