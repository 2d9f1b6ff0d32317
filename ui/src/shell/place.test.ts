import { expect, test } from "vitest";
import type { NodeId } from "../forge/api";
import { START, addressOf, format, parse, type Place } from "./place";

const BASE = "/_dashboard/";
const NODE = "0192" as NodeId;

function read(address: string): Place {
  const url = new URL(address, "http://node");
  return parse(url.pathname, url.search, BASE);
}

test("the start is the base", () => {
  expect(format(START, BASE)).toBe("/_dashboard/");
  expect(read("/_dashboard/")).toEqual(START);
  expect(read("/_dashboard")).toEqual(START);
});

test("a view comes back from its address", () => {
  const place: Place = {
    page: "actors",
    node: NODE,
    search: "session & more",
    sort: "rate",
    folded: ["0192:node/gateway/sessions", "0193:node"],
    selected: { node: NODE, path: "node/functions" },
  };
  const address = format(place, BASE);
  expect(address).toContain("sel=0192:node/functions");
  expect(read(address)).toEqual(place);
});

test("another page takes the node along, and nothing else", () => {
  const place: Place = { ...START, node: NODE, search: "x", selected: { node: NODE, path: "node" } };
  expect(format(place, BASE)).toBe("/_dashboard/?node=0192");
});

test("what cannot be read counts as absent", () => {
  const place = read("/_dashboard/actors?sort=age&sel=node&fold=:x&fold=a:b&other=1");
  expect(place).toEqual({ ...START, page: "actors", folded: ["a:b"] });
  expect(read("/_dashboard/jobs").page).toBe("missing");
});

test("an actor's key", () => {
  expect(addressOf("0192:node/a:b")).toEqual({ node: "0192", path: "node/a:b" });
  expect(addressOf("0192:")).toBeNull();
  expect(addressOf("node")).toBeNull();
});
