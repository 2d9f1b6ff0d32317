import { expect, test } from "vitest";
import type { CronId, JobId, NodeId, RunId } from "../forge/api";
import { DEFAULT_ROUTE, parseKey, format, parse, type Route } from "./route";

const BASE = "/_dashboard/";
const NODE = "0192" as NodeId;

function read(address: string): Route {
  const url = new URL(address, "http://node");
  return parse(url.pathname, url.search, BASE);
}

test("the default route is the base address", () => {
  expect(format(DEFAULT_ROUTE, BASE)).toBe("/_dashboard/");
  expect(read("/_dashboard/")).toEqual(DEFAULT_ROUTE);
  expect(read("/_dashboard")).toEqual(DEFAULT_ROUTE);
});

test("a route is read back from its address", () => {
  const route: Route = {
    ...DEFAULT_ROUTE,
    page: "actors",
    node: NODE,
    search: "session & more",
    sort: "rate",
    folded: ["0192:node/gateway/sessions", "0193:node"],
    selected: { node: NODE, path: "node/functions" },
  };
  const address = format(route, BASE);
  expect(address).toContain("sel=0192:node/functions");
  expect(read(address)).toEqual(route);
});

test("a page has its own selection", () => {
  const crons: Route = { ...DEFAULT_ROUTE, page: "crons", search: "mail", cronView: "failing", cron: "0199" as CronId };
  expect(format(crons, BASE)).toBe("/_dashboard/crons?q=mail&state=failing&sel=0199");
  expect(read(format(crons, BASE))).toEqual(crons);
  const jobs: Route = { ...DEFAULT_ROUTE, page: "jobs", search: "queue:mail args.user:7", job: "019a" as JobId, before: "0199" as JobId, isListOnly: true };
  expect(format(jobs, BASE)).toBe("/_dashboard/jobs?q=queue:mail+args.user:7&queues=hidden&before=0199&sel=019a");
  expect(read(format(jobs, BASE))).toEqual(jobs);
});

test("a run has a page of its own, which keeps the list that it was opened from", () => {
  const list: Route = { ...DEFAULT_ROUTE, page: "workflows", search: "status:diverged attribute.plan:gold", runsBefore: "0199" as RunId };
  expect(format(list, BASE)).toBe("/_dashboard/workflows?q=status:diverged+attribute.plan:gold&before=0199");
  const run: Route = { ...list, run: "019a" as RunId, step: "2.0.1", isEven: true };
  expect(format(run, BASE)).toBe("/_dashboard/workflows/019a?q=status:diverged+attribute.plan:gold&before=0199&step=2.0.1&scale=even");
  for (const route of [list, run]) expect(read(format(route, BASE))).toEqual(route);
  expect(format({ ...run, run: null }, BASE)).toBe(format(list, BASE));
  expect(read("/_dashboard/workflows/019a/steps").page).toBe("missing");
});

test("the overview keeps the node, and nothing else", () => {
  const route: Route = { ...DEFAULT_ROUTE, node: NODE, search: "x", selected: { node: NODE, path: "node" } };
  expect(format(route, BASE)).toBe("/_dashboard/?node=0192");
});

test("malformed parameters are ignored", () => {
  const route = read("/_dashboard/actors?sort=age&sel=node&fold=:x&fold=a:b&other=1");
  expect(route).toEqual({ ...DEFAULT_ROUTE, page: "actors", folded: ["a:b"] });
  expect(read("/_dashboard/crons?state=new&sort=rate")).toEqual({ ...DEFAULT_ROUTE, page: "crons" });
  expect(read("/_dashboard/job").page).toBe("missing");
  expect(read("/_dashboard/overview").page).toBe("missing");
});

test("an actor's key", () => {
  expect(parseKey("0192:node/a:b")).toEqual({ node: "0192", path: "node/a:b" });
  expect(parseKey("0192:")).toBeNull();
  expect(parseKey("node")).toBeNull();
});
