import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { api, task } from "./api.js";
import { FakeNode, settled } from "./node.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a live query", () => {
  test("loads, becomes live, and follows the node", async () => {
    const node = new FakeNode();
    const list = node.forge.watch(api.tasks.list, { project: "p" });
    const seen: unknown[] = [];
    list.subscribe(() => seen.push(list.current.data));
    expect(list.current).toMatchObject({ status: "loading", isLoading: true, isStale: false, data: undefined });

    const socket = await node.live();
    expect(socket.offered).toEqual(["forge.v1.parts", "forge.v1"]);
    expect(socket.url.href).toBe("ws://node.test/ws");
    expect(socket.sub("tasks.list")).toMatchObject({ args: { project: "p" } });
    socket.result("tasks.list", [task("a")]);
    expect(list.current).toMatchObject({ status: "live", isLoading: false, isStale: false, data: [task("a")], updatedAt: Date.now() });
    socket.result("tasks.list", [task("a"), task("b")]);
    expect(seen).toEqual([[task("a")], [task("a"), task("b")]]);
  });

  test("has one subscription for equal arguments, in whatever order and spelling", async () => {
    const node = new FakeNode();
    const socket = await node.live();
    const first = node.forge.watch(api.tasks.list, { project: "p", status: "open" });
    const leave = first.subscribe(() => undefined);
    const second = node.forge.watch(api.tasks.list, { status: "open", project: "p" });
    second.subscribe(() => undefined);
    node.forge.watch(api.tasks.list, { project: "p", status: undefined }).subscribe(() => undefined);
    node.forge.watch(api.tasks.list, { project: "p" }).subscribe(() => undefined);
    expect(second).toBe(first);
    expect(socket.of("sub").map((frame) => frame.args)).toEqual([{ project: "p", status: "open" }, { project: "p" }]);
    leave();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(socket.of("unsub")).toEqual([]);
  });

  test("stays subscribed for a moment after the last listener left, and no longer", async () => {
    const node = new FakeNode({ lingerMs: 1_000 });
    const socket = await node.live();
    const count = node.forge.watch(api.tasks.count, { project: "p" });
    count.subscribe(() => undefined)();
    await vi.advanceTimersByTimeAsync(900);
    const leave = count.subscribe(() => undefined);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(socket.of("unsub")).toEqual([]);
    leave();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(socket.of("unsub")).toEqual([{ type: "unsub", id: socket.sub("tasks.count").id }]);
    expect(count.current.status).toBe("loading");

    // A watch can be used again after its subscription ended.
    count.subscribe(() => undefined);
    expect(socket.of("sub")).toHaveLength(2);
  });

  test("without a listener stays subscribed only within a limit", async () => {
    const node = new FakeNode();
    const socket = await node.live();
    for (let project = 0; project < 60; project++) node.forge.watch(api.tasks.count, { project: `${project}` }).subscribe(() => undefined)();
    expect(socket.of("sub")).toHaveLength(60);
    expect(socket.of("unsub").map((frame) => frame.id)).toEqual(
      socket
        .of("sub")
        .slice(0, 10)
        .map((frame) => frame.id),
    );
  });

  test("beyond the limit of a connection fails here, before the node would close the connection", async () => {
    const node = new FakeNode();
    const socket = await node.live();
    const watch = (project: number) => node.forge.watch(api.tasks.count, { project: `${project}` });
    watch(0).subscribe(() => undefined)();
    for (let project = 1; project <= 256; project++) watch(project).subscribe(() => undefined);
    expect(socket.of("unsub"), "a query without a listener is unsubscribed first").toHaveLength(1);
    const leave = watch(257).subscribe(() => undefined);
    expect(socket.of("sub")).toHaveLength(257);
    expect(watch(257).current).toMatchObject({ status: "error", error: { kind: "system", system: { code: "OVERLOADED" } } });
    leave();
  });

  test("distinguishes null from no result", async () => {
    const node = new FakeNode();
    const find = node.forge.watch(api.tasks.find, { id: "x" });
    find.subscribe(() => undefined);
    (await node.live()).result("tasks.find", null);
    expect(find.current).toMatchObject({ status: "live", data: null });
  });

  test("notifies its listeners after all queries of a transition were updated", async () => {
    const node = new FakeNode();
    const list = node.forge.watch(api.tasks.list, { project: "p" });
    const count = node.forge.watch(api.tasks.count, { project: "p" });
    const seen: [number | undefined, number | undefined][] = [];
    const record = () => seen.push([list.current.data?.length, count.current.data]);
    list.subscribe(record);
    count.subscribe(record);
    const socket = await node.live();
    const both = (tasks: string[]) =>
      socket.transition([
        { id: socket.sub("tasks.list").id, snapshot: tasks.map((title) => task(title)), version: `l${tasks.length}` },
        { id: socket.sub("tasks.count").id, snapshot: tasks.length, version: `c${tasks.length}` },
      ]);
    both(["a"]);
    both(["a", "b"]);
    expect(seen.length).toBe(4);
    expect(seen.every(([length, counted]) => length === counted)).toBe(true);
  });

  test("notifies the other listeners when one throws", async () => {
    const node = new FakeNode();
    const count = node.forge.watch(api.tasks.count, { project: "p" });
    const listener = vi.fn();
    count.subscribe(() => {
      throw new Error("a listener's own fault");
    });
    count.subscribe(listener);
    (await node.live()).result("tasks.count", 1);
    expect(listener).toHaveBeenCalledOnce();
    // The error is reported to the page as uncaught.
    await expect(vi.advanceTimersByTimeAsync(1)).rejects.toThrow("a listener's own fault");
  });
});

describe("an error of a query", () => {
  test("is shown, keeps the data, and ends with the next result", async () => {
    const node = new FakeNode();
    const find = node.forge.watch(api.tasks.find, { id: "x" });
    find.subscribe(() => undefined);
    const socket = await node.live();
    const { id } = socket.sub("tasks.find");
    socket.result("tasks.find", task("x"));
    socket.transition([{ id, error: { code: "TASK_NOT_FOUND", message: "gone", details: null, traceId: "t" } }]);
    expect(find.current).toMatchObject({
      status: "error",
      data: task("x"),
      isLoading: false,
      error: { kind: "app", app: { code: "TASK_NOT_FOUND", message: "gone", details: null }, message: "gone", traceId: "t" },
    });
    socket.transition([{ id, snapshot: null, version: "2" }]);
    expect(find.current).toMatchObject({ status: "live", data: null, error: undefined });
  });

  test("with a code of another handler is a system error", async () => {
    const node = new FakeNode();
    const count = node.forge.watch(api.tasks.count, { project: "p" });
    count.subscribe(() => undefined);
    const socket = await node.live();
    socket.transition([{ id: socket.sub("tasks.count").id, error: { code: "TASK_NOT_FOUND", message: "m", traceId: "t" } }]);
    expect(count.current.error).toEqual({ kind: "system", system: { code: "TASK_NOT_FOUND", message: "m", traceId: "t" } });
  });

  test("that ended the subscription: retry subscribes again", async () => {
    const node = new FakeNode();
    const count = node.forge.watch(api.tasks.count, { project: "p" });
    count.subscribe(() => undefined);
    const socket = await node.live();
    socket.transition([{ id: socket.sub("tasks.count").id, error: { code: "PERMISSION_DENIED", message: "m", traceId: "t" } }]);
    expect(count.current).toMatchObject({ status: "error", data: undefined, isLoading: false });
    count.retry();
    expect(count.current.status).toBe("loading");
    expect(socket.of("sub")).toHaveLength(2);
    expect(socket.of("unsub")).toEqual([]);
    socket.result("tasks.count", 3);
    expect(count.current).toMatchObject({ status: "live", data: 3 });
  });

  test("that did not end the subscription: retry replaces the subscription", async () => {
    const node = new FakeNode();
    const count = node.forge.watch(api.tasks.count, { project: "p" });
    count.subscribe(() => undefined);
    const socket = await node.live();
    const { id } = socket.sub("tasks.count");
    socket.transition([{ id, error: { code: "TIMEOUT", message: "m", traceId: "t", retryAfterMs: 5 } }]);
    expect(count.current.error).toMatchObject({ kind: "system", system: { code: "TIMEOUT", retryAfterMs: 5 } });
    count.retry();
    expect(socket.of("unsub")).toEqual([{ type: "unsub", id }]);
    // A result for the former subscription is ignored.
    socket.transition([{ id, snapshot: 1, version: "1" }]);
    expect(count.current.status).toBe("loading");
  });
});

describe("after a reconnect", () => {
  test("data are stale until confirmed, and are subscribed from their version", async () => {
    const node = new FakeNode();
    const count = node.forge.watch(api.tasks.count, { project: "p" });
    const statuses: string[] = [];
    count.subscribe(() => statuses.push(count.current.status));
    const first = await node.live();
    first.transition([{ id: first.sub("tasks.count").id, snapshot: 5, version: "00000000000000aa" }]);
    first.end(1012);
    expect(count.current).toMatchObject({ status: "stale", isStale: true, data: 5 });
    const second = await node.again();
    const sub = second.sub("tasks.count");
    expect(sub.version).toBe("00000000000000aa");
    second.transition([{ id: sub.id, unchanged: true, version: "00000000000000aa" }]);
    expect(count.current).toMatchObject({ status: "live", data: 5 });
    expect(statuses).toEqual(["live", "stale", "live"]);
  });

  test("old and new results are never shown together", async () => {
    const node = new FakeNode();
    const list = node.forge.watch(api.tasks.list, { project: "p" });
    const count = node.forge.watch(api.tasks.count, { project: "p" });
    list.subscribe(() => undefined);
    count.subscribe(() => undefined);
    const first = await node.live();
    first.transition([
      { id: first.sub("tasks.list").id, snapshot: [task("a")], version: "1" },
      { id: first.sub("tasks.count").id, snapshot: 1, version: "1" },
    ]);
    first.end();
    const second = await node.again();
    second.result("tasks.list", [task("a"), task("b")]);
    expect([list.current.data?.length, count.current.data]).toEqual([1, 1]);
    second.result("tasks.count", 2);
    expect([list.current.data?.length, count.current.data]).toEqual([2, 2]);
    expect([list.current.status, count.current.status]).toEqual(["live", "live"]);
  });

  test("a query that is never answered delays the others only for a limited time", async () => {
    const { node, list, count } = await both();
    const again = await node.again();
    again.result("tasks.count", 2);
    expect(count.current).toMatchObject({ status: "stale", data: 1 });
    await vi.advanceTimersByTimeAsync(5_000);
    expect(count.current).toMatchObject({ status: "live", data: 2 });
    expect(list.current).toMatchObject({ status: "stale", data: [task("a")] });
  });

  test("a query whose last listener left does not delay the others", async () => {
    const { node, leave, count } = await both();
    const again = await node.again();
    again.result("tasks.count", 2);
    leave();
    await vi.advanceTimersByTimeAsync(100);
    expect(count.current.data).toBe(2);
  });

  test("a new query does not delay the others", async () => {
    const { node, count } = await both();
    const find = node.forge.watch(api.tasks.find, { id: "x" });
    find.subscribe(() => undefined);
    const again = await node.again();
    again.result("tasks.count", 1);
    again.result("tasks.list", [task("a")]);
    expect([count.current.status, find.current.status]).toEqual(["live", "loading"]);
  });

  test("a query without a listener is not subscribed again", async () => {
    const node = new FakeNode();
    const socket = await node.live();
    node.forge.watch(api.tasks.count, { project: "p" }).subscribe(() => undefined)();
    socket.end();
    expect((await node.again()).of("sub")).toEqual([]);
  });
});

/** Two queries with results, whose connection has just ended. */
async function both() {
  const node = new FakeNode({ lingerMs: 100 });
  const list = node.forge.watch(api.tasks.list, { project: "p" });
  const count = node.forge.watch(api.tasks.count, { project: "p" });
  const leave = list.subscribe(() => undefined);
  count.subscribe(() => undefined);
  const socket = await node.live();
  socket.result("tasks.list", [task("a")]);
  socket.result("tasks.count", 1);
  socket.end();
  return { node, list, count, leave };
}

test("close ends the connection, timers, listeners and mutations", async () => {
  const node = new FakeNode();
  const listener = vi.fn();
  const count = node.forge.watch(api.tasks.count, { project: "p" });
  count.subscribe(listener);
  const socket = await node.live();
  const pending = node.forge.mutate(api.tasks.clear);
  node.forge.close();
  expect(socket.closed).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
  expect(await pending).toMatchObject({ ok: false, error: { system: { code: "OUTCOME_UNKNOWN" } } });
  expect(await node.forge.mutate(api.tasks.clear)).toMatchObject({ ok: false, error: { system: { code: "CANCELLED" } } });
  expect(await node.forge.call(api.tasks.ping)).toMatchObject({ ok: false, error: { system: { code: "CANCELLED" } } });
  listener.mockClear();
  count.subscribe(listener);
  node.forge.connect();
  await settled();
  expect(node.sockets).toHaveLength(1);
  expect(listener).not.toHaveBeenCalled();
  expect(node.state()).toBe("offline");
});
