// The route of the dashboard: the page and all settings of its view. It is written into the address, so that a link shows the same view.

import type { ActorSort, CronId, CronState, JobId, NodeId, RunId } from "../forge/api";

const SORTS: readonly ActorSort[] = ["tree", "mailbox", "rate", "restarts", "busy"];
const CRON_VIEWS: readonly CronView[] = ["active", "paused", "no_handler", "broken", "failing"];
const PAGES: readonly Page[] = ["overview", "actors", "jobs", "workflows", "crons"];

export type Page = "overview" | "actors" | "jobs" | "workflows" | "crons" | "missing";

/** The crons that a list shows: those in a state, or those whose newest run failed. */
export type CronView = CronState | "failing";

/** An actor of the cluster: its node and its path. */
export type ActorAddress = { readonly node: NodeId; readonly path: string };

export type Route = {
  readonly page: Page;
  /** One node, or null for all of them. */
  readonly node: NodeId | null;
  readonly search: string;
  readonly sort: ActorSort;
  /** Keys of the actors whose children are hidden. */
  readonly folded: readonly string[];
  /** The actor that the drawer shows. */
  readonly selected: ActorAddress | null;
  readonly cronView: CronView | null;
  /** The cron that the panel shows. */
  readonly cron: CronId | null;
  /** The job that the panel shows. */
  readonly job: JobId | null;
  /** Where the page of older jobs begins; null for the newest ones. */
  readonly before: JobId | null;
  /** The queues above the list of jobs are hidden. */
  readonly isListOnly: boolean;
  /** The run of a workflow whose page is shown; null for their list. */
  readonly run: RunId | null;
  /** Where the page of older runs begins; null for the newest ones. */
  readonly runsBefore: RunId | null;
  /** The position of the step that the panel shows. */
  readonly step: string | null;
  /** The timeline of a run evens out long waits. */
  readonly isEven: boolean;
};

export const DEFAULT_ROUTE: Route = {
  page: "overview",
  node: null,
  search: "",
  sort: "tree",
  folded: [],
  selected: null,
  cronView: null,
  cron: null,
  job: null,
  before: null,
  isListOnly: false,
  run: null,
  runsBefore: null,
  step: null,
  isEven: false,
};

/** Whether the page shows what belongs to single nodes, so that choosing a node changes it. */
export function isByNode(page: Page): boolean {
  return page === "overview" || page === "actors";
}

/** The key of an actor, in addresses and in the argument `collapsed`. A node's id has no colon. */
export function keyOf(actor: ActorAddress): string {
  return `${actor.node}:${actor.path}`;
}

/** Reads the key of an actor; null when `key` is not one. */
export function parseKey(key: string): ActorAddress | null {
  const colon = key.indexOf(":");
  if (colon < 1 || colon === key.length - 1) return null;
  return { node: key.slice(0, colon) as NodeId, path: key.slice(colon + 1) };
}

/** Reads the route from an address below `base`. Unknown and malformed parameters are ignored. */
export function parse(pathname: string, query: string, base: string): Route {
  const params = new URLSearchParams(query);
  const route = { ...DEFAULT_ROUTE, page: pageOf(pathname, base), node: (params.get("node") || null) as NodeId | null, search: params.get("q") ?? "" };
  const selected = params.get("sel") || null;
  switch (route.page) {
    case "overview":
    case "missing":
      return { ...route, search: "" };
    case "actors": {
      const sort = SORTS.find((known) => known === params.get("sort")) ?? "tree";
      const folded = params.getAll("fold").filter((key) => parseKey(key) !== null);
      return { ...route, sort, folded, selected: selected === null ? null : parseKey(selected) };
    }
    case "crons":
      return { ...route, cronView: CRON_VIEWS.find((known) => known === params.get("state")) ?? null, cron: selected as CronId | null };
    case "jobs":
      return { ...route, job: selected as JobId | null, before: (params.get("before") || null) as JobId | null, isListOnly: params.get("queues") === "hidden" };
    case "workflows": {
      const [run, runsBefore] = [runOf(pathname, base), (params.get("before") || null) as RunId | null];
      return { ...route, run, runsBefore, ...(run === null ? {} : { step: params.get("step") || null, isEven: params.get("scale") === "even" }) };
    }
  }
}

/** The address of a route. It has the parameters of its own page only. */
export function format(route: Route, base: string): string {
  const params = new URLSearchParams();
  const put = (name: string, value: string | null): void => {
    if (value !== null && value !== "") params.set(name, value);
  };
  put("node", route.node);
  if (route.page !== "overview") put("q", route.search);
  if (route.page === "actors") {
    put("sort", route.sort === "tree" ? null : route.sort);
    for (const key of route.folded) params.append("fold", key);
    put("sel", route.selected === null ? null : keyOf(route.selected));
  } else if (route.page === "crons") {
    put("state", route.cronView);
    put("sel", route.cron);
  } else if (route.page === "jobs") {
    put("queues", route.isListOnly ? "hidden" : null);
    put("before", route.before);
    put("sel", route.job);
  } else if (route.page === "workflows") {
    put("before", route.runsBefore);
    put("step", route.run === null ? null : route.step);
    put("scale", route.run !== null && route.isEven ? "even" : null);
  }
  // `:` and `/` are allowed in a query, and an actor's path stays readable with them.
  const query = params.toString().replaceAll("%3A", ":").replaceAll("%2F", "/");
  const run = route.page === "workflows" && route.run !== null ? `/${route.run}` : "";
  const path = route.page === "overview" || route.page === "missing" ? base : `${base}${route.page}${run}`;
  return query === "" ? path : `${path}?${query}`;
}

function pageOf(pathname: string, base: string): Page {
  const rest = pathname.startsWith(base) ? pathname.slice(base.length).replace(/\/$/, "") : "";
  if (rest === "") return "overview";
  if (runOf(pathname, base) !== null) return "workflows";
  return PAGES.find((page) => page !== "overview" && page === rest) ?? "missing";
}

/** The run whose page an address names; null when it names none. */
function runOf(pathname: string, base: string): RunId | null {
  const id = /^workflows\/([^/]+)\/?$/.exec(pathname.startsWith(base) ? pathname.slice(base.length) : "")?.[1];
  return id === undefined ? null : (id as RunId);
}
