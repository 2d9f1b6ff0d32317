import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { api, task } from "./api.js";
import { FakeNode, settled, stubPage } from "./node.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const create = (node: FakeNode, title: string) => node.forge.mutate(api.tasks.create, { project: "p", title });

describe("a mutation", () => {
  test("is sent on the connection with its own key and trace, and resolves to its outcome", async () => {
    const node = new FakeNode();
    const socket = await node.live();
    const outcomes = [create(node, "a"), create(node, "b")];
    const [a, b] = socket.of("mut");
    expect(a).toMatchObject({ name: "tasks.create", args: { project: "p", title: "a" } });
    expect(a?.idem).toMatch(/^[0-9a-f]{32}$/);
    expect(a?.trace).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    expect(new Set([a?.idem, b?.idem, a?.trace, b?.trace]).size).toBe(4);
    // Outcomes may arrive in another order than the calls.
    socket.receive({ type: "mutResult", id: b?.id, data: task("b") });
    socket.receive({ type: "mutResult", id: a?.id, data: task("a") });
    expect(await Promise.all(outcomes)).toEqual([
      { ok: true, data: task("a") },
      { ok: true, data: task("b") },
    ]);
  });

  test("of a handler without arguments takes none, and may return null", async () => {
    const node = new FakeNode();
    const socket = await node.live();
    const outcome = node.forge.mutate(api.tasks.clear);
    expect(socket.of("mut")[0]?.args).toEqual({});
    socket.receive({ type: "mutResult", id: socket.of("mut")[0]?.id, data: null });
    expect(await outcome).toEqual({ ok: true, data: null });
  });

  test("opens the connection, and waits for it", async () => {
    const node = new FakeNode();
    const outcome = create(node, "a");
    await settled();
    expect(node.forge.connection.current).toMatchObject({ state: "connecting", pendingMutations: 1 });
    node.socket.welcome();
    const [mut] = node.socket.of("mut");
    node.socket.receive({ type: "mutResult", id: mut?.id, data: task("a") });
    expect(await outcome).toMatchObject({ ok: true });
    expect(node.forge.connection.current.pendingMutations).toBe(0);
  });

  test("whose connection broke is sent again under the same key, in order, and its outcome counts once", async () => {
    const node = new FakeNode();
    const socket = await node.live();
    const outcomes = ["a", "b", "c"].map((title) => create(node, title));
    const sent = socket.of("mut");
    socket.receive({ type: "mutResult", id: sent[0]?.id, data: task("a") });
    socket.end();
    const again = await node.again();
    expect(again.of("mut")).toEqual(sent.slice(1));
    for (const { id, args } of again.of("mut")) {
      const answer = { type: "mutResult", id, data: task((args as { title: string }).title) };
      again.receive(answer);
      again.receive({ ...answer, data: task("a second outcome") });
    }
    expect((await Promise.all(outcomes)).map((outcome) => outcome.ok && outcome.data.title)).toEqual(["a", "b", "c"]);
    again.end(1012);
    expect((await node.again()).of("mut")).toEqual([]);
  });

  test("without a connection fails after five minutes as OFFLINE", async () => {
    const page = stubPage();
    page.navigator.onLine = false;
    const node = new FakeNode();
    const outcome = create(node, "a");
    await settled();
    await vi.advanceTimersByTimeAsync(5 * 60_000);
    expect(await outcome).toMatchObject({ ok: false, error: { kind: "system", system: { code: "OFFLINE" } } });
    expect((await node.live()).of("mut")).toEqual([]);
  });

  test("that was sent and never answered fails as OUTCOME_UNKNOWN", async () => {
    const node = new FakeNode();
    (await node.live()).silent = true;
    const outcome = create(node, "a");
    await vi.advanceTimersByTimeAsync(5 * 60_000);
    expect(await outcome).toMatchObject({ ok: false, error: { system: { code: "OUTCOME_UNKNOWN" } } });
  });

  test("beyond the limit of pending ones is refused", async () => {
    const node = new FakeNode();
    const waiting = Array.from({ length: 100 }, (_, index) => create(node, `${index}`));
    expect(await create(node, "one more")).toMatchObject({ ok: false, error: { system: { code: "OVERLOADED" } } });
    const socket = await node.live();
    for (let answered = 0; answered < 100; answered++) {
      const sent = socket.of("mut");
      expect(sent.length, "the limit of unanswered mutations of a connection").toBe(Math.min(answered + 32, 100));
      socket.receive({ type: "mutResult", id: sent[answered]?.id, data: task("t") });
    }
    await Promise.all(waiting);
    expect(socket.of("mut").map(({ args }) => (args as { title: string }).title)).toEqual(waiting.map((_, index) => `${index}`));
    void create(node, "now");
    expect(socket.of("mut")).toHaveLength(101);
  });

  test("that waited for its turn when the connection broke keeps its place on the next one", async () => {
    const node = new FakeNode();
    const socket = await node.live();
    for (let index = 0; index < 40; index++) void create(node, `${index}`);
    expect(socket.of("mut")).toHaveLength(32);
    socket.end();
    const again = await node.again();
    expect(again.of("mut").map(({ id }) => id)).toEqual(socket.of("mut").map(({ id }) => id));
    again.receive({ type: "mutResult", id: again.of("mut")[0]?.id, data: task("0") });
    expect(again.of("mut").at(-1)?.args).toMatchObject({ title: "32" });
  });

  test("that is too large fails, and is not sent on the next connection", async () => {
    const node = new FakeNode();
    const socket = await node.live();
    const small = create(node, "small");
    const large = create(node, "x".repeat(2_000_000));
    socket.end(1009);
    expect(await large).toMatchObject({ ok: false, error: { system: { code: "PAYLOAD_TOO_LARGE" } } });
    const again = await node.again();
    expect(again.of("mut").map(({ id }) => id)).toEqual([socket.of("mut")[0]?.id]);
    again.receive({ type: "mutResult", id: again.of("mut")[0]?.id, data: task("small") });
    expect(await small).toMatchObject({ ok: true });
  });

  test("is sent with the arguments of its call, also when the object changes afterwards", async () => {
    const node = new FakeNode();
    const args = { project: "p", title: "asked" };
    void node.forge.mutate(api.tasks.create, args);
    args.title = "changed";
    expect((await node.live()).of("mut")[0]?.args).toEqual({ project: "p", title: "asked" });
  });
});

test("a query that is too large fails, and is not subscribed again", async () => {
  const node = new FakeNode();
  const count = node.forge.watch(api.tasks.count, { project: "x".repeat(100_000) });
  count.subscribe(() => undefined);
  (await node.live()).end(1009);
  expect(count.current).toMatchObject({ status: "error", error: { system: { code: "PAYLOAD_TOO_LARGE" } } });
  expect((await node.again()).of("sub").length).toBe(0);
  expect(count.current.status).toBe("error");
});
