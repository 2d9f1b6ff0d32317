import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { api } from "./api.js";
import { FakeNode, settled, stubPage } from "./node.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const jitter = (share: number) => vi.spyOn(Math, "random").mockReturnValue(share);

describe("the connection", () => {
  test("is opened by the first use, and says hello first", async () => {
    const node = new FakeNode({ contract: "abc", getToken: () => "token" });
    await settled();
    expect(node.sockets).toEqual([]);
    node.forge.watch(api.tasks.count, { project: "p" });
    expect(node.sockets, "a watch without a listener does not connect").toEqual([]);
    node.forge.watch(api.tasks.count, { project: "p" }).subscribe(() => undefined);
    await settled();
    expect(node.state()).toBe("connecting");
    node.socket.open();
    expect(node.socket.sent).toEqual([{ type: "hello", proto: 1, contract: "abc", token: "token" }]);
    expect(node.socket.url.href).not.toContain("token");
    node.socket.welcome({ contract: "abc" });
    expect(node.socket.of("sub")).toHaveLength(1);
    expect(node.state()).toBe("live");
  });

  test("gives its listeners a new value at each change", async () => {
    const node = new FakeNode();
    const states: string[] = [];
    const before = node.forge.connection.current;
    const leave = node.forge.connection.subscribe(() => states.push(node.state()));
    const socket = await node.live();
    expect(node.forge.connection.current).not.toBe(before);
    socket.end();
    await node.again();
    leave();
    socket.end();
    expect([...new Set(states)]).toEqual(["live", "reconnecting"]);
  });

  test("of a page with another contract is live and outdated", async () => {
    const node = new FakeNode({ contract: "mine" });
    const socket = await node.live({ contract: "another" });
    expect(node.state()).toBe("outdated");
    node.forge.watch(api.tasks.count, { project: "p" }).subscribe(() => undefined);
    socket.result("tasks.count", 1);
    expect(node.forge.watch(api.tasks.count, { project: "p" }).current.data).toBe(1);
    socket.end(1012);
    await node.again({ contract: "mine" });
    expect(node.state()).toBe("live");
  });

  test("measures its round trip", async () => {
    const node = new FakeNode();
    const socket = await node.live();
    socket.silent = true;
    await vi.advanceTimersByTimeAsync(25_000);
    await vi.advanceTimersByTimeAsync(40);
    socket.receive({ type: "pong", id: socket.of("ping").at(-1)?.id });
    expect(node.forge.connection.current.rttMs).toBe(40);
  });
});

describe("after the connection broke", () => {
  test("attempts follow each other with full jitter, without an end", async () => {
    jitter(1);
    const node = new FakeNode();
    (await node.live()).end();
    const delays: number[] = [];
    for (let attempt = 0; attempt < 12; attempt++) {
      delays.push((node.forge.connection.current.nextRetryAt ?? 0) - Date.now());
      const count = node.sockets.length;
      while (node.sockets.length === count) await vi.advanceTimersToNextTimerAsync();
      node.socket.end();
    }
    expect(delays.slice(0, 9)).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    expect(node.forge.connection.current).toMatchObject({ state: "reconnecting", attempt: 13 });
    jitter(0);
    node.socket.end();
    await node.again();
    expect(node.forge.connection.current).toMatchObject({ state: "live", nextRetryAt: undefined });
    await vi.advanceTimersByTimeAsync(5_000);
    expect(node.forge.connection.current.attempt).toBe(0);
  });

  test("a planned end is followed at once: 1001 and 1012", async () => {
    jitter(1);
    for (const code of [1001, 1012]) {
      const node = new FakeNode();
      (await node.live()).end(code);
      await settled();
      expect(node.sockets).toHaveLength(2);
    }
  });

  test("a node that ends each session at once is retried with backoff", async () => {
    jitter(1);
    const node = new FakeNode();
    await node.live();
    for (let round = 0; round < 6; round++) {
      node.socket.end(1012);
      await node.again();
    }
    node.socket.end(1012);
    expect((node.forge.connection.current.nextRetryAt ?? 0) - Date.now()).toBe(16_000);
  });

  test("1013 and codes of permanent failures are followed with backoff", async () => {
    jitter(1);
    for (const code of [1006, 1008, 1013, 4400]) {
      const node = new FakeNode();
      (await node.live()).end(code);
      await settled();
      expect(node.sockets).toHaveLength(1);
      await vi.advanceTimersByTimeAsync(250);
      expect(node.sockets).toHaveLength(2);
    }
  });

  test("a node that drains is left in time, at a random moment", async () => {
    const node = new FakeNode();
    const socket = await node.live();
    const random = jitter(0.5);
    socket.receive({ type: "goAway", afterMs: 1_500 });
    random.mockReturnValue(1);
    await vi.advanceTimersByTimeAsync(374);
    expect(socket.closed).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(socket.closed).toBe(true);
    await vi.advanceTimersByTimeAsync(1);
    expect(node.sockets).toHaveLength(2);
  });

  test("frames of the former socket are ignored", async () => {
    const node = new FakeNode();
    const count = node.forge.watch(api.tasks.count, { project: "p" });
    count.subscribe(() => undefined);
    const first = await node.live();
    const receive = first.onmessage;
    first.receive({ type: "goAway", afterMs: 0 });
    await node.again();
    first.onmessage = receive;
    first.result("tasks.count", 99);
    expect(count.current.data).toBeUndefined();
  });
});

describe("a broken connection that the browser holds open", () => {
  test("is replaced when a ping after 25 s has no answer within 10 s", async () => {
    jitter(0);
    const node = new FakeNode();
    const socket = await node.live();
    await vi.advanceTimersByTimeAsync(24_999);
    socket.silent = true;
    await vi.advanceTimersByTimeAsync(1 + 9_999);
    expect(socket.closed).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(socket.closed).toBe(true);
    await vi.advanceTimersByTimeAsync(1);
    expect(node.sockets).toHaveLength(2);
  });

  test("counts as alive while any frame arrives", async () => {
    const node = new FakeNode();
    const socket = await node.live();
    socket.silent = true;
    await vi.advanceTimersByTimeAsync(30_000);
    socket.transition([]);
    await vi.advanceTimersByTimeAsync(15_000);
    expect(socket.closed).toBe(false);
  });

  test("is replaced when it does not open, or brings no welcome, within 10 s", async () => {
    jitter(0);
    const node = new FakeNode();
    node.forge.connect();
    await vi.advanceTimersByTimeAsync(10_001);
    expect(node.sockets.map(({ closed }) => closed)).toEqual([true, false]);
    node.socket.open();
    await vi.advanceTimersByTimeAsync(10_001);
    expect(node.sockets.map(({ closed }) => closed)).toEqual([true, true, false]);
  });

  test("is replaced when a frame is not JSON", async () => {
    const node = new FakeNode();
    const socket = await node.live();
    socket.onmessage?.({ data: "{" });
    expect(socket.closed).toBe(true);
    expect(node.state()).toBe("reconnecting");
  });

  test("a large frame comes in parts, and each part shows that the node lives", async () => {
    const node = new FakeNode();
    const list = node.forge.watch(api.tasks.list, { project: "p" });
    list.subscribe(() => undefined);
    const socket = await node.live({ pingMs: 25_000 });
    socket.result("tasks.list", []);
    const large = [{ id: "ä".repeat(40) }];
    const mods = [{ id: socket.sub("tasks.list").id, snapshot: large, version: "2" }];
    const text = JSON.stringify({ type: "transition", from: 0, to: 1, mods, applied: [] });
    socket.silent = true;
    for (let at = 0; at + 10 < text.length; at += 10) {
      await vi.advanceTimersByTimeAsync(8_000);
      socket.receivePart(`+${text.slice(at, at + 10)}`);
      expect(list.current.data).toEqual([]);
    }
    socket.receive({ type: "pong", id: 0 });
    socket.receivePart(`=${text.slice(Math.floor((text.length - 1) / 10) * 10)}`);
    expect(list.current.data).toEqual(large);
    expect(socket.closed).toBe(false);
    await vi.advanceTimersByTimeAsync(40_000);
    expect(socket.closed, "silence ends the connection nevertheless").toBe(true);
  });

  test("parts of an earlier socket are forgotten", async () => {
    const node = new FakeNode();
    const list = node.forge.watch(api.tasks.list, { project: "p" });
    list.subscribe(() => undefined);
    const before = await node.live();
    before.receivePart('+{"type":"transition"');
    before.end();
    const socket = await node.again();
    socket.receivePart(`=${JSON.stringify({ type: "pong", id: 1 })}`);
    expect(socket.closed).toBe(false);
  });

  test("a frame of an unknown type is ignored", async () => {
    const node = new FakeNode();
    const socket = await node.live();
    socket.receive({ type: "jobUpdate", id: 1 });
    expect(socket.closed).toBe(false);
  });
});

describe("the network and the page", () => {
  test("without a network it is offline, and connects as soon as there is one", async () => {
    jitter(1);
    const page = stubPage();
    const node = new FakeNode();
    const seen: string[] = [];
    node.forge.connection.subscribe(() => seen.push(node.state()));
    await node.live();
    page.navigator.onLine = false;
    page.fire("offline");
    expect(node.state(), "a socket that works is live even when the browser reports no network").toBe("live");
    node.socket.end();
    expect(node.state()).toBe("offline");
    for (let round = 0; round < 8; round++) {
      await vi.advanceTimersByTimeAsync(30_000);
      node.socket.end();
    }
    page.navigator.onLine = true;
    const count = node.sockets.length;
    page.fire("online");
    await settled();
    expect(node.sockets).toHaveLength(count + 1);
    node.socket.welcome();
    expect(node.state()).toBe("live");
    expect([...new Set(seen)]).toEqual(["live", "offline", "reconnecting"].filter((state) => seen.includes(state)));
  });

  test("a page that becomes visible connects at once", async () => {
    jitter(1);
    const page = stubPage();
    const node = new FakeNode();
    (await node.live()).end(1013);
    page.document.visibilityState = "hidden";
    page.fire("visibilitychange");
    await settled();
    expect(node.sockets).toHaveLength(1);
    page.document.visibilityState = "visible";
    page.fire("visibilitychange");
    await settled();
    expect(node.sockets).toHaveLength(2);
  });

  test("an open connection is probed when the network comes back", async () => {
    const page = stubPage();
    const node = new FakeNode();
    const socket = await node.live();
    const pings = socket.of("ping").length;
    socket.silent = true;
    page.fire("online");
    expect(socket.of("ping")).toHaveLength(pings + 1);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(socket.closed).toBe(true);
  });

  test.each([
    ["pageshow", { persisted: true }],
    ["resume", {}],
  ])("an open connection is probed after %s", async (name, more) => {
    const page = stubPage();
    const node = new FakeNode();
    const socket = await node.live();
    socket.silent = true;
    page.fire(name, more);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(socket.closed).toBe(true);
  });

  test("a page that is shown for the first time probes nothing", async () => {
    const page = stubPage();
    const node = new FakeNode();
    const socket = await node.live();
    const pings = socket.of("ping").length;
    page.fire("pageshow", { persisted: false });
    expect(socket.of("ping")).toHaveLength(pings);
  });

  test("a machine that slept has another connection within seconds", async () => {
    stubPage();
    const node = new FakeNode();
    const socket = await node.live();
    await vi.advanceTimersByTimeAsync(6_000);
    socket.silent = true;
    // The clock goes on while timers stand still.
    vi.setSystemTime(Date.now() + 60_000);
    await node.again({}, 4_000);
    expect(socket.closed).toBe(true);
  });

  test("close removes the listeners from the page", async () => {
    const page = stubPage();
    const node = new FakeNode();
    await node.live();
    node.forge.close();
    page.fire("online");
    page.fire("visibilitychange");
    await settled();
    expect(node.sockets).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("without WebSocket, as on a server, everything stays loading", async () => {
    vi.stubGlobal("WebSocket", undefined);
    const { createForge } = await import("../src/index.js");
    const forge = createForge({ url: "http://node.test" });
    const count = forge.watch(api.tasks.count, { project: "p" });
    const leave = count.subscribe(() => undefined);
    await settled();
    expect([count.current.status, forge.connection.current.state]).toEqual(["loading", "connecting"]);
    leave();
    forge.close();
  });
});
