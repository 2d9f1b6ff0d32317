import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { api } from "./api.js";
import { FakeNode, settled, stubPage } from "./node.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(1);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const never = () => new Promise<string>(() => undefined);
const inMs = (ms: number) => new Date(Date.now() + ms).toISOString();
const unauthenticated = { code: "UNAUTHENTICATED", message: "expired", traceId: "t" };

describe("getToken", () => {
  test("that rejects is called again with backoff, and the connection then opens", async () => {
    const getToken = vi.fn().mockRejectedValueOnce(new Error("no")).mockRejectedValueOnce(new Error("no")).mockResolvedValue("token");
    const node = new FakeNode({ getToken });
    node.forge.connect();
    await settled();
    expect(node.sockets).toEqual([]);
    expect(node.forge.connection.current).toMatchObject({ state: "connecting", attempt: 1 });
    await vi.advanceTimersByTimeAsync(250);
    expect(node.forge.connection.current.attempt).toBe(2);
    await vi.advanceTimersByTimeAsync(500);
    node.socket.welcome({ subject: "ana" });
    expect(node.socket.of("hello")[0]?.token).toBe("token");
    expect(node.state()).toBe("live");
  });

  test("that throws is treated as one that rejects", async () => {
    const getToken = vi
      .fn()
      .mockImplementationOnce(() => {
        throw new Error("at once");
      })
      .mockReturnValue("token");
    const node = new FakeNode({ getToken });
    node.forge.connect();
    await vi.advanceTimersByTimeAsync(250);
    expect(node.sockets).toHaveLength(1);
  });

  test("that hangs fails after 10 s, and its late token is not used", async () => {
    let answer = (_: string) => undefined as void;
    const getToken = vi
      .fn()
      .mockImplementationOnce(() => new Promise<string>((resolve) => (answer = resolve)))
      .mockResolvedValue("second");
    const node = new FakeNode({ getToken });
    node.forge.connect();
    await vi.advanceTimersByTimeAsync(10_000);
    answer("late");
    await vi.advanceTimersByTimeAsync(250);
    node.socket.open();
    expect(node.socket.of("hello")[0]?.token).toBe("second");
  });

  test("is called once for all concurrent calls that need a token", async () => {
    const getToken = vi.fn(async () => "token");
    const fetch = vi.fn(async () => new Response('{"data":null}'));
    const node = new FakeNode({ getToken, fetch });
    node.forge.connect();
    await Promise.all([node.forge.call(api.tasks.ping), node.forge.call(api.tasks.ping), settled()]);
    expect(getToken).toHaveBeenCalledExactlyOnceWith({ forceRefresh: false });
    expect(fetch).toHaveBeenCalledTimes(2);
  });

  test("that returns null makes a connection without a token", async () => {
    const node = new FakeNode({ getToken: () => null });
    node.forge.connect();
    await settled();
    node.socket.open();
    expect(node.socket.of("hello")).toEqual([{ type: "hello", proto: 1 }]);
  });

  test("is awaited before anything is subscribed, so that nothing runs without the user", async () => {
    let answer = (_: string) => undefined as void;
    const node = new FakeNode({ getToken: () => new Promise<string>((resolve) => (answer = resolve)) });
    const count = node.forge.watch(api.tasks.count, { project: "p" });
    count.subscribe(() => undefined);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(node.sockets).toEqual([]);
    expect(count.current.status).toBe("loading");
    answer("token");
    await settled();
    node.socket.welcome({ subject: "ana" });
    expect(node.socket.sent.map(({ type }) => type)).toEqual(["hello", "ping", "sub"]);
  });
});

describe("a token that expires", () => {
  test("is renewed 30 s before, on the open connection", async () => {
    let issued = 0;
    const getToken = vi.fn(async () => `token ${++issued}`);
    const node = new FakeNode({ getToken });
    const count = node.forge.watch(api.tasks.count, { project: "p" });
    count.subscribe(() => undefined);
    const socket = await node.live({ subject: "ana", expiresAt: inMs(300_000) });
    socket.result("tasks.count", 1);
    await vi.advanceTimersByTimeAsync(269_999);
    expect(getToken).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(getToken).toHaveBeenLastCalledWith({ forceRefresh: true });
    expect(socket.of("auth")).toEqual([{ type: "auth", token: "token 2" }]);
    socket.receive({ type: "auth", subject: "ana", expiresAt: inMs(300_000) });
    await vi.advanceTimersByTimeAsync(270_000);
    expect(socket.of("auth")).toHaveLength(2);
    expect(node.sockets).toHaveLength(1);
    expect(count.current).toMatchObject({ status: "live", data: 1 });
    expect(socket.of("sub"), "the subscriptions stay").toHaveLength(1);
  });

  test("in 8 s is renewed after half of its life", async () => {
    const getToken = vi.fn(async () => "token");
    const node = new FakeNode({ getToken });
    const socket = await node.live({ subject: "ana", expiresAt: inMs(8_000) });
    await vi.advanceTimersByTimeAsync(4_000);
    expect(socket.of("auth")).toHaveLength(1);
  });

  test("in a month is not renewed now, though timers count in 32 bits", async () => {
    const getToken = vi.fn(async () => "token");
    const node = new FakeNode({ getToken });
    const month = 30 * 24 * 3_600_000;
    const socket = await node.live({ subject: "ana", expiresAt: inMs(month) });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(getToken).toHaveBeenCalledTimes(1);
    // A reconnect to another token; simulating a month of pings would take too long.
    socket.end(1012);
    const again = await node.again({ subject: "ana" });
    again.receive({ type: "auth", subject: "ana", expiresAt: inMs(13 * 3_600_000) });
    await vi.advanceTimersByTimeAsync(13 * 3_600_000 - 30_001);
    expect(getToken).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(getToken).toHaveBeenCalledTimes(2);
  });

  test("is renewed when the machine wakes", async () => {
    const page = stubPage();
    const getToken = vi.fn(async () => "token");
    const node = new FakeNode({ getToken });
    const socket = await node.live({ subject: "ana", expiresAt: inMs(300_000) });
    // Timers slept with the machine.
    vi.setSystemTime(Date.now() + 290_000);
    page.fire("visibilitychange");
    await settled();
    expect(socket.of("auth")).toHaveLength(1);
  });

  test("already, by a clock that is wrong, is not renewed in a loop", async () => {
    const getToken = vi.fn(async () => "token");
    const node = new FakeNode({ getToken });
    const socket = await node.live({ subject: "ana", expiresAt: inMs(-3_600_000) });
    for (let round = 0; round < 6; round++) {
      await vi.advanceTimersByTimeAsync(10_000);
      socket.receive({ type: "auth", subject: "ana", expiresAt: inMs(-3_600_000) });
    }
    expect(getToken.mock.calls.length).toBeLessThanOrEqual(7);
  });

  test("and cannot be renewed leaves the connection open; when the node ends it, the client waits for a token", async () => {
    const getToken = vi.fn<() => Promise<string>>(never).mockResolvedValueOnce("old");
    const node = new FakeNode({ getToken });
    const count = node.forge.watch(api.tasks.count, { project: "p" });
    count.subscribe(() => undefined);
    const socket = await node.live({ subject: "ana", expiresAt: inMs(60_000) });
    socket.result("tasks.count", 1);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(socket.closed).toBe(false);
    expect(node.state()).toBe("live");
    socket.receive({ type: "fault", error: unauthenticated });
    socket.end(4401);
    expect(node.state()).toBe("authExpired");
    expect(count.current, "old data stay, as stale").toMatchObject({ status: "stale", data: 1 });
    await vi.advanceTimersByTimeAsync(30_000);
    expect(node.sockets, "no socket without a token").toHaveLength(1);
    getToken.mockResolvedValue("new");
    const again = await node.again({ subject: "ana", expiresAt: inMs(60_000) });
    expect(again.of("hello")[0]?.token).toBe("new");
    expect(getToken).toHaveBeenLastCalledWith({ forceRefresh: true });
    expect(node.state()).toBe("live");
  });

  test("while there is no connection is replaced before the next one opens", async () => {
    const getToken = vi.fn(async () => "token");
    const node = new FakeNode({ getToken });
    (await node.live({ subject: "ana", expiresAt: inMs(60_000) })).end();
    vi.setSystemTime(Date.now() + 3_600_000);
    await node.again({ subject: "ana", expiresAt: inMs(60_000) });
    expect(getToken).toHaveBeenLastCalledWith({ forceRefresh: true });
  });

  test("and whose successor is refused is fetched again, with backoff", async () => {
    const getToken = vi.fn(async () => "token");
    const node = new FakeNode({ getToken });
    const socket = await node.live({ subject: "ana", expiresAt: inMs(60_000) });
    await vi.advanceTimersByTimeAsync(30_000);
    socket.receive({ type: "auth", error: unauthenticated });
    await settled();
    expect(socket.of("auth")).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(socket.of("auth")).toHaveLength(2);
    expect(socket.closed).toBe(false);
  });
});

describe("a refused request", () => {
  test("that is UNAUTHENTICATED is sent again with another token, before a listener sees an error", async () => {
    let issued = 0;
    const node = new FakeNode({ getToken: async () => `token ${++issued}` });
    const count = node.forge.watch(api.tasks.count, { project: "p" });
    const statuses: string[] = [];
    count.subscribe(() => statuses.push(count.current.status));
    const socket = await node.live({ subject: "ana" });
    socket.transition([{ id: socket.sub("tasks.count").id, error: unauthenticated }]);
    await settled();
    expect(socket.of("auth")).toEqual([{ type: "auth", token: "token 2" }]);
    socket.receive({ type: "auth", subject: "ana", expiresAt: null });
    await settled();
    expect(socket.of("sub")).toHaveLength(2);
    socket.result("tasks.count", 1);
    expect(statuses).toEqual(["live"]);

    // With the new token refused as well, it is an error.
    socket.transition([{ id: socket.sub("tasks.count").id, error: unauthenticated }]);
    await settled();
    expect(count.current).toMatchObject({ status: "error", data: 1, error: { kind: "system", system: { code: "UNAUTHENTICATED" } } });
    expect(issued).toBe(2);
  });

  test("that is PERMISSION_DENIED is an error at once: another token of the same user would not help", async () => {
    const getToken = vi.fn(async () => "token");
    const node = new FakeNode({ getToken });
    const count = node.forge.watch(api.tasks.count, { project: "p" });
    count.subscribe(() => undefined);
    const socket = await node.live({ subject: "ana" });
    const denied = { code: "PERMISSION_DENIED", message: "no", traceId: "t" };
    socket.transition([{ id: socket.sub("tasks.count").id, error: denied }]);
    await settled();
    expect(count.current).toMatchObject({ status: "error", error: { system: { code: "PERMISSION_DENIED" } } });
    expect(getToken).toHaveBeenCalledOnce();
    expect(node.state()).toBe("live");
    // Another user may be allowed.
    node.forge.authenticate();
    await settled();
    socket.receive({ type: "auth", subject: "ana", expiresAt: null });
    expect(socket.of("sub")).toHaveLength(2);
  });

  test("of the former user does not count for the user who signed in since", async () => {
    let token: string | null = null;
    const getToken = vi.fn(async () => token);
    const node = new FakeNode({ getToken });
    const count = node.forge.watch(api.tasks.count, { project: "p" });
    count.subscribe(() => undefined);
    const socket = await node.live();
    const asked = socket.sub("tasks.count").id;
    token = "ana's";
    node.forge.authenticate();
    await settled();
    getToken.mockClear();
    // The node answers in order: first the refusal of the anonymous subscription, then the acceptance of the token.
    socket.transition([{ id: asked, error: unauthenticated }]);
    socket.receive({ type: "auth", subject: "ana", expiresAt: null });
    await settled();
    expect(getToken).not.toHaveBeenCalled();
    expect(socket.of("sub")).toHaveLength(2);
    socket.result("tasks.count", 1);
    expect(count.current).toMatchObject({ status: "live", data: 1 });
  });

  test("without a token is an error at once", async () => {
    const node = new FakeNode();
    const count = node.forge.watch(api.tasks.count, { project: "p" });
    count.subscribe(() => undefined);
    const socket = await node.live();
    socket.transition([{ id: socket.sub("tasks.count").id, error: unauthenticated }]);
    await settled();
    expect(count.current.status).toBe("error");
  });

  test("is an error when no other token can be fetched", async () => {
    const node = new FakeNode({ getToken: vi.fn<() => Promise<string>>(never).mockResolvedValueOnce("old") });
    const count = node.forge.watch(api.tasks.count, { project: "p" });
    count.subscribe(() => undefined);
    const socket = await node.live({ subject: "ana" });
    socket.transition([{ id: socket.sub("tasks.count").id, error: unauthenticated }]);
    await vi.advanceTimersByTimeAsync(9_999);
    expect(count.current.status).toBe("loading");
    await vi.advanceTimersByTimeAsync(1);
    expect(count.current.status).toBe("error");
    expect(socket.closed).toBe(false);
  });

  test("a mutation is sent again with another token, once", async () => {
    let issued = 0;
    const node = new FakeNode({ getToken: async () => `token ${++issued}` });
    const socket = await node.live({ subject: "ana" });
    const outcome = node.forge.mutate(api.tasks.clear);
    const [first] = socket.of("mut");
    socket.receive({ type: "mutResult", id: first?.id, error: unauthenticated });
    await settled();
    socket.receive({ type: "auth", subject: "ana", expiresAt: null });
    await settled();
    expect(socket.of("mut")).toEqual([first, first]);
    socket.receive({ type: "mutResult", id: first?.id, error: unauthenticated });
    expect(await outcome).toMatchObject({ ok: false, error: { system: { code: "UNAUTHENTICATED" } } });
  });
});

describe("signing out", () => {
  test("drops all data, signs out at the node, and fetches no further token", async () => {
    const getToken = vi.fn(async () => "token");
    const node = new FakeNode({ getToken });
    const count = node.forge.watch(api.tasks.count, { project: "p" });
    count.subscribe(() => undefined);
    const list = node.forge.watch(api.tasks.list, { project: "p" });
    list.subscribe(() => undefined)();
    const socket = await node.live({ subject: "ana" });
    const old = socket.sub("tasks.count");
    socket.result("tasks.count", 1);
    const pending = node.forge.mutate(api.tasks.clear);
    node.forge.signOut();
    expect([count.current.status, list.current.status]).toEqual(["loading", "loading"]);
    expect(await pending).toMatchObject({ ok: false, error: { system: { code: "OUTCOME_UNKNOWN" } } });
    const after = socket.sent.slice(socket.sent.findIndex(({ type }) => type === "auth"));
    expect(after.map(({ type }) => type)).toEqual(["auth", "unsub", "sub"]);
    expect(socket.sub("tasks.count"), "without the version of the former data").not.toHaveProperty("version");

    // A frame that was on its way when we signed out.
    socket.transition([{ id: old.id, snapshot: 2, version: "2" }]);
    expect(count.current.data).toBeUndefined();
    socket.receive({ type: "auth", subject: null, expiresAt: null });
    socket.end(1012);
    const again = await node.again();
    expect(again.of("hello")[0]).not.toHaveProperty("token");
    expect(getToken).toHaveBeenCalledOnce();
    expect(again.of("mut"), "a mutation of the former user is not sent without a user").toEqual([]);
  });

  test("and in again as another user", async () => {
    let who = "ana";
    const node = new FakeNode({ getToken: async () => who });
    const count = node.forge.watch(api.tasks.count, { project: "p" });
    count.subscribe(() => undefined);
    const socket = await node.live({ subject: "ana" });
    socket.result("tasks.count", 1);
    const epoch = node.forge.sessionEpoch;
    // Without a sign-out: the node reports another subject.
    who = "ben";
    node.forge.authenticate();
    await settled();
    expect(socket.of("auth")).toEqual([{ type: "auth", token: "ben" }]);
    socket.receive({ type: "auth", subject: "ben", expiresAt: null });
    expect(count.current.data).toBeUndefined();
    expect(node.forge.sessionEpoch).toBeGreaterThan(epoch);
    socket.result("tasks.count", 5);
    expect(count.current.data).toBe(5);
  });

  test("while a token is fetched makes that token void", async () => {
    let answer = (_: string) => undefined as void;
    const node = new FakeNode({ getToken: () => new Promise<string>((resolve) => (answer = resolve)) });
    node.forge.connect();
    await settled();
    node.forge.signOut();
    answer("ana's");
    await settled();
    node.socket.open();
    expect(node.socket.of("hello")).toEqual([{ type: "hello", proto: 1 }]);
  });

  test("while there is no connection: the next one shows no data of the former user", async () => {
    const node = new FakeNode({ getToken: async () => "token" });
    const count = node.forge.watch(api.tasks.count, { project: "p" });
    count.subscribe(() => undefined);
    const socket = await node.live({ subject: "ana" });
    socket.result("tasks.count", 1);
    socket.end();
    const again = await node.again({ subject: "ben" });
    expect(count.current.data).toBeUndefined();
    expect(again.sub("tasks.count")).not.toHaveProperty("version");
  });
});
