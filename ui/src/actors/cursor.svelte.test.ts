import { expect, test } from "vitest";
import type { NodeId, ActorPage, ActorRow } from "../forge/api";
import { Cursor } from "./cursor.svelte";
import { Rows } from "./rows.svelte";

const NODE = "n1" as NodeId;

function row(path: string, change: Partial<ActorRow> = {}): ActorRow {
  const counters = { mailbox: 0, mailboxMax: 10, rate: 0, handled: 0, restarts: 0, children: 0, uptimeMs: 1 };
  const what = { kind: "worker", state: { is: "running" as const }, lastError: null, current: null, supervisor: false };
  const depth = path.split("/").length - 1;
  return { node: NODE, nodeName: "node-1", path, name: path, depth, ...what, ...counters, ...change };
}

function page(paths: readonly string[], total = paths.length): ActorPage {
  return { at: "2026-11-21T12:00:00Z", total, rows: paths.map((path) => row(path)) };
}

test("the cursor stays with its actor when the order changes", () => {
  const rows = new Rows();
  rows.take("rate", 0, page(["a", "b", "c"]), false);
  const cursor = new Cursor(rows);
  expect(cursor.index).toBeNull();
  cursor.put(1);
  rows.take("rate", 0, page(["c", "a", "b"]), false);
  expect([cursor.index, cursor.key]).toEqual([2, "n1:b"]);
  rows.take("rate", 0, page(["c", "a"]), false);
  expect(cursor.index).toBe(1);
});

test("the cursor can move to a row that is not loaded", () => {
  const rows = new Rows();
  rows.take("tree", 0, page(["a", "b"], 500), false);
  const cursor = new Cursor(rows);
  cursor.put(cursor.after("last", 30));
  expect([cursor.index, cursor.key]).toEqual([499, null]);
  rows.take("tree", 498, page(["y", "z"], 500), false);
  expect(cursor.key).toBe("n1:z");
});

test("the parent is the nearest row above with a smaller depth", () => {
  const rows = new Rows();
  rows.take("tree", 0, page(["node", "node/jobs", "node/jobs/a", "node/jobs/b"]), false);
  const cursor = new Cursor(rows);
  expect([cursor.parentOf(3), cursor.parentOf(1), cursor.parentOf(0)]).toEqual([1, 0, null]);
});

test("rows outside of the newest window stay; rows of another view are removed", () => {
  const rows = new Rows();
  rows.take("tree", 0, page(["a", "b"], 100), false);
  rows.take("tree", 50, page(["x"], 100), false);
  expect([rows.get(0)?.path, rows.get(50)?.path]).toEqual(["a", "x"]);
  rows.take("tree ~ search", 0, page(["x"]), false);
  expect([rows.total, rows.get(0)?.path, rows.get(1), rows.get(50)]).toEqual([1, "x", undefined, undefined]);
});

test("during a pause rows stay as they are, and missing rows are added", () => {
  const rows = new Rows();
  rows.take("tree", 0, page(["a"], 2), false);
  rows.take("tree", 0, { ...page(["A", "b"], 2), at: "2026-11-21T13:00:00Z" }, true);
  expect([rows.get(0)?.path, rows.get(1)?.path]).toEqual(["a", "b"]);
  expect(rows.atMs).toBe(Date.parse("2026-11-21T12:00:00Z"));
});

test("a table that shrinks removes the rows at its end", () => {
  const rows = new Rows();
  rows.take("tree", 0, page(["a", "b", "c"]), false);
  rows.take("tree", 0, page(["a"]), false);
  expect(rows.get(2)).toBeUndefined();
});

test("rates belong to the actor, also when its row moves", () => {
  const rows = new Rows();
  const of = (rate: number, paths: readonly string[]): ActorPage => ({ ...page(paths), rows: paths.map((path) => row(path, { rate })) });
  rows.take("rate", 0, of(1, ["a", "b"]), false);
  rows.take("rate", 0, of(2, ["b", "a"]), false);
  expect(rows.rates(row("a"))).toEqual([1, 2]);
});
