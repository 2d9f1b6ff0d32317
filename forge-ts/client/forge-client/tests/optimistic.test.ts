import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { LocalStore } from "../src/index.js";
import { api, task, type Task } from "./api.js";
import { FakeNode, settled } from "./node.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const add = (store: LocalStore, args: { project: string; title: string }) =>
  store.patch(api.tasks.list, { project: args.project }, (tasks) => tasks.unshift(task(args.title, store.tempId())));

async function board(tasks: Task[] = [task("old")]) {
  const node = new FakeNode();
  const list = node.forge.watch(api.tasks.list, { project: "p" });
  const seen: string[][] = [];
  list.subscribe(() => seen.push(titles()));
  const titles = () => (list.current.data ?? []).map(({ title }) => title);
  const socket = await node.live();
  socket.result("tasks.list", tasks);
  seen.length = 0;
  const create = (title: string) => node.forge.mutate(api.tasks.create, { project: "p", title }, { optimistic: add });
  return { node, list, socket, seen, titles, create };
}

test("a layer is shown at once, and is dropped with the transition that contains its mutation", async () => {
  const { socket, seen, create, list } = await board();
  const outcome = create("new");
  expect(seen).toEqual([["new", "old"]]);
  const [mut] = socket.of("mut");
  socket.receive({ type: "mutResult", id: mut?.id, data: task("new", "1") });
  expect(await outcome).toEqual({ ok: true, data: task("new", "1") });
  expect(seen, "an answer alone drops no layer").toEqual([["new", "old"]]);
  socket.result("tasks.list", [task("new", "1"), task("old")], [mut?.id ?? 0]);
  expect(seen.map((titles) => titles.length)).toEqual([2, 2]);
  expect(list.current.data?.[0]?.id).toBe("1");
});

test("the transition may come before the answer", async () => {
  const { socket, seen, create } = await board();
  const outcome = create("new");
  const id = socket.of("mut")[0]?.id ?? 0;
  socket.result("tasks.list", [task("new", "1"), task("old")], [id]);
  socket.receive({ type: "mutResult", id, data: task("new", "1") });
  expect(await outcome).toMatchObject({ ok: true });
  expect(seen).toEqual([
    ["new", "old"],
    ["new", "old"],
  ]);
});

test("layers are applied again to each new base, in order", async () => {
  const { socket, titles, create } = await board();
  void create("first");
  void create("second");
  socket.result("tasks.list", [task("theirs"), task("old")]);
  expect(titles()).toEqual(["second", "first", "theirs", "old"]);
  const [first] = socket.of("mut");
  socket.result("tasks.list", [task("first"), task("theirs"), task("old")], [first?.id ?? 0]);
  expect(titles()).toEqual(["second", "first", "theirs", "old"]);
});

test("no update of several concurrent ones is lost", async () => {
  const { socket, titles, create } = await board([]);
  for (const title of ["1", "2", "3", "4"]) void create(title);
  const muts = socket.of("mut");
  const stored: Task[] = [];
  for (const mut of muts) {
    stored.unshift(task((mut.args as { title: string }).title));
    socket.receive({ type: "mutResult", id: mut.id, data: stored[0] });
    expect(titles()).toEqual(["4", "3", "2", "1"]);
    socket.result("tasks.list", stored, [mut.id]);
    expect(titles()).toEqual(["4", "3", "2", "1"]);
  }
});

test("a failed mutation drops its layer, and no other", async () => {
  const { socket, titles, create } = await board();
  const failed = create("refused");
  void create("kept");
  const error = { code: "LIMIT_REACHED", message: "full", details: { max: 2 }, traceId: "t" };
  socket.receive({ type: "mutResult", id: socket.of("mut")[0]?.id, error });
  const result = await failed;
  expect(titles()).toEqual(["kept", "old"]);
  expect(result).toEqual({
    ok: false,
    error: { kind: "app", app: { code: "LIMIT_REACHED", message: "full", details: { max: 2 } }, message: "full", traceId: "t" },
  });
});

test("a temporary id stays the same while its layer lives", async () => {
  const { socket, list, create } = await board();
  void create("new");
  const before = list.current.data?.[0]?.id;
  socket.result("tasks.list", [task("theirs")]);
  expect(list.current.data?.[0]?.id).toBe(before);
  void create("other");
  expect(list.current.data?.[0]?.id).not.toBe(before);
});

test("a layer changes neither the base nor the caller's arguments", async () => {
  const { node, socket, list } = await board();
  const base = list.current.data;
  const args = { project: "p", title: "new" };
  void node.forge.mutate(api.tasks.create, args, { optimistic: add });
  args.title = "changed afterwards";
  expect(base).toEqual([task("old")]);
  expect(socket.of("mut")[0]?.args).toEqual({ project: "p", title: "new" });
});

test("a layer that throws is removed with all of its changes; the mutation goes on", async () => {
  const { node, socket, titles } = await board();
  const optimistic = (store: LocalStore) => {
    store.set(api.tasks.list, { project: "p" }, []);
    throw new Error("the update's own fault");
  };
  const outcome = node.forge.mutate(api.tasks.clear, {}, { optimistic });
  expect(titles()).toEqual(["old"]);
  await expect(vi.advanceTimersByTimeAsync(1)).rejects.toThrow("the update's own fault");
  socket.receive({ type: "mutResult", id: socket.of("mut")[0]?.id, data: null });
  expect(await outcome).toEqual({ ok: true, data: null });
});

test("patchAll edits every watched query of a name; get returns the result with earlier layers", async () => {
  const { node, socket, titles } = await board();
  const open = node.forge.watch(api.tasks.list, { project: "p", status: "open" });
  open.subscribe(() => undefined);
  socket.result("tasks.list", [task("open")]);
  const optimistic = (store: LocalStore) => {
    store.patchAll(api.tasks.list, (tasks, { status }) => tasks.push(task(status ?? "any")));
    store.patch(api.tasks.list, { project: "p" }, (tasks) => tasks.push(task(`${store.get(api.tasks.list, { project: "p" })?.length}`)));
    // Neither query is watched, so neither gets a result.
    store.patch(api.tasks.list, { project: "other" }, (tasks) => tasks.push(task("x")));
    store.set(api.tasks.count, { project: "other" }, 1);
  };
  void node.forge.mutate(api.tasks.clear, {}, { optimistic });
  expect(titles()).toEqual(["old", "any", "2"]);
  expect(open.current.data?.map(({ title }) => title)).toEqual(["open", "open"]);
});

test("a layer outlives a reconnect: its mutation is sent again, and a transition drops it", async () => {
  const { node, socket, titles, create } = await board();
  const outcome = create("new");
  const [sent] = socket.of("mut");
  socket.receive({ type: "mutResult", id: sent?.id, data: task("new", "1") });
  await outcome;
  socket.end(1012);
  expect(titles()).toEqual(["new", "old"]);
  const second = await node.again();
  const [again] = second.of("mut");
  expect(again).toEqual(sent);
  second.result("tasks.list", [task("new", "1"), task("old")], [again?.id ?? 0]);
  expect(titles()).toEqual(["new", "old"]);
  second.end(1012);
  expect((await node.again()).of("mut"), "a mutation that is done is not sent again").toEqual([]);
});

test("layers that no transition drops are bounded", async () => {
  const { socket, list, create } = await board([]);
  for (let index = 0; index < 130; index++) {
    const outcome = create(`${index}`);
    socket.receive({ type: "mutResult", id: socket.of("mut").at(-1)?.id, data: task(`${index}`) });
    await outcome;
  }
  await settled();
  expect(list.current.data).toHaveLength(100);
  expect(list.current.data?.at(-1)?.title).toBe("30");
});
