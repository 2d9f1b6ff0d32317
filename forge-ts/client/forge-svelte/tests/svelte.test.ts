import { cleanup, render, screen } from "@testing-library/svelte";
import { flushSync } from "svelte";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { JobHandle, WorkflowHandle } from "@forge/client";
import { FakeNode, settled } from "../../forge-client/tests/node.js";
import { api } from "../../forge-client/tests/api.js";
import Board from "./Board.svelte";
import Counter from "./Counter.svelte";
import Job from "./Job.svelte";
import Workflow from "./Workflow.svelte";
import { reactive } from "./reactive.svelte.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

const text = (name: string) => screen.getByTestId(name).textContent;

async function board({ project = "p", keep = false, contract = "mine" } = {}) {
  const node = new FakeNode({ contract });
  const socket = await node.live();
  const view = reactive({ project, second: false, keep });
  const rendered = render(Board, { forge: node.forge, view });
  const settle = async () => {
    flushSync();
    await settled();
    flushSync();
  };
  await settle();
  const push = async (count: number, applied: number[] = []) => {
    socket.result("tasks.count", count, applied);
    await settle();
  };
  return { node, socket, view, settle, push, rendered };
}

test("two components share one subscription, and a result updates both", async () => {
  const { socket, view, settle, push } = await board();
  expect(text("first")).toBe("loading nothing");
  await push(1);
  view.second = true;
  await settle();
  expect(text("second"), "the result is shown at once").toBe("live 1");
  await push(2);
  expect([text("first"), text("second")]).toEqual(["live 2", "live 2"]);
  expect(socket.of("sub")).toHaveLength(1);
});

test("other arguments are another subscription, and the former one ends", async () => {
  const { socket, view, settle, push } = await board();
  await push(1);
  view.project = "q";
  await settle();
  expect(text("first")).toBe("loading nothing");
  expect(socket.of("sub").map((frame) => frame.args)).toEqual([{ project: "p" }, { project: "q" }]);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(socket.of("unsub")).toHaveLength(1);
  await push(7);
  expect(text("first")).toBe("live 7");
});

test("a job shows its progress and its result, and nothing before there is one", async () => {
  const node = new FakeNode();
  const socket = await node.live();
  const view = reactive({ handle: undefined as JobHandle<number> | undefined });
  render(Job, { forge: node.forge, view });
  const settle = async () => {
    flushSync();
    await settled();
    flushSync();
  };
  await settle();
  expect(text("job")).toBe("none");
  expect(socket.of("sub")).toEqual([]);
  view.handle = "0193a5b0-0000-7000-8000-000000000000" as JobHandle<number>;
  await settle();
  const known = { id: view.handle, attempt: 1, attemptsMax: 3, runAt: null, failure: null, createdAt: "2026-01-01T00:00:00Z", finishedAt: null };
  socket.result("forge.jobStatus", { ...known, status: "running", progress: 0.25, message: "a quarter", result: null });
  await settle();
  expect(text("job")).toBe("running 0.25 a quarter");
  socket.result("forge.jobStatus", { ...known, status: "completed", progress: 1, message: null, result: 42 });
  await settle();
  expect(text("job")).toBe("completed 42");
});

test("a run shows what it has published and its result, and nothing before there is one", async () => {
  const node = new FakeNode();
  const socket = await node.live();
  const view = reactive({ handle: undefined as WorkflowHandle<number> | undefined });
  render(Workflow, { forge: node.forge, view });
  const settle = async () => {
    flushSync();
    await settled();
    flushSync();
  };
  await settle();
  expect(text("run")).toBe("none");
  expect(socket.of("sub")).toEqual([]);
  view.handle = "0193a5b0-0000-7000-8000-000000000000" as WorkflowHandle<number>;
  await settle();
  expect(text("run")).toBe("loading");
  const known = { id: view.handle, run: view.handle, dueAt: null, failure: null, createdAt: "2026-01-01T00:00:00Z", finishedAt: null };
  socket.result("forge.workflowStatus", { ...known, status: "waiting", published: "half", result: null });
  await settle();
  expect(text("run")).toBe("waiting half");
  socket.result("forge.workflowStatus", { ...known, status: "completed", published: "half", result: 42 });
  await settle();
  expect(text("run")).toBe("completed 42");
});

test("keepPrevious shows the former result as stale, but never the result of another user", async () => {
  const { node, view, settle, push } = await board({ keep: true });
  await push(1);
  view.project = "q";
  await settle();
  expect(text("first")).toBe("stale 1");
  await push(2);
  expect(text("first")).toBe("live 2");
  view.project = "r";
  await settle();
  expect(text("first")).toBe("stale 2");
  node.forge.signOut();
  await settle();
  expect(text("first")).toBe("loading nothing");
});

test("skip subscribes nothing, and drops the former result", async () => {
  const { socket, view, settle, push } = await board({ project: "" });
  expect(text("first")).toBe("skipped nothing");
  expect(socket.of("sub")).toEqual([]);
  view.project = "p";
  await settle();
  await push(1);
  expect(text("first")).toBe("live 1");
  view.project = "";
  await settle();
  expect(text("first")).toBe("skipped nothing");
});

test("the subscription ends after the last component is gone, and the connection stays", async () => {
  const { socket, rendered, push } = await board();
  await push(1);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(socket.of("unsub")).toEqual([]);
  rendered.unmount();
  await vi.advanceTimersByTimeAsync(6_000);
  expect(socket.of("unsub")).toHaveLength(1);
  expect(socket.closed).toBe(false);
});

test("an error is shown, and retry subscribes again", async () => {
  const { socket, settle, push } = await board();
  socket.transition([{ id: socket.sub("tasks.count").id, error: { code: "PERMISSION_DENIED", message: "no", traceId: "t" } }]);
  await settle();
  expect(text("first")).toBe("error nothing");
  screen.getByText("retry first").click();
  await settle();
  expect(text("first")).toBe("loading nothing");
  await push(4);
  expect(text("first")).toBe("live 4");
});

test("a mutation is pending while it runs, is shown at once, and returns a typed outcome", async () => {
  const { socket, settle, push } = await board();
  await push(1);
  const button = screen.getByText<HTMLButtonElement>("add first");
  button.click();
  await settle();
  expect(button.disabled).toBe(true);
  expect(text("first")).toBe("live 2");
  const error = { code: "LIMIT_REACHED", message: "full", details: { max: 1 }, traceId: "t" };
  socket.receive({ type: "mutResult", id: socket.of("mut")[0]?.id, error });
  await settle();
  expect(button.disabled).toBe(false);
  expect(text("first")).toBe("live 1");
  expect(text("outcome")).toBe("LIMIT_REACHED");
});

test("the badge follows the connection", async () => {
  const { node, socket, settle } = await board();
  const badge = screen.getByRole("status");
  expect(badge.textContent?.trim()).toBe("Connected");
  void node.forge.mutate(api.tasks.clear);
  socket.end();
  await settle();
  expect(badge.dataset["state"]).toBe("reconnecting");
  expect(badge.textContent).toContain("1 unsent");
  await node.again({ contract: "another" });
  await settle();
  expect(badge.dataset["state"]).toBe("outdated");
  expect(screen.getByText("Reload").tagName).toBe("BUTTON");
});

test("a component without a client throws an error that says what to do", () => {
  expect(() => render(Counter, { name: "alone", project: "p", keepPrevious: false })).toThrow("call setForge(createForge({ url: '/' }))");
});
