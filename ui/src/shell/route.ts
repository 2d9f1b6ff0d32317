// The route of the dashboard: the page and all settings of its view. It is written into the address, so that a link shows the same view.

import type { NodeId, ActorSort } from "../forge/api";

const SORTS: readonly ActorSort[] = ["tree", "mailbox", "rate", "restarts", "busy"];

export type Page = "overview" | "actors" | "missing";

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
};

export const DEFAULT_ROUTE: Route = { page: "overview", node: null, search: "", sort: "tree", folded: [], selected: null };

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
  const sort = SORTS.find((known) => known === params.get("sort")) ?? "tree";
  const selected = params.get("sel");
  return {
    page: pageOf(pathname, base),
    node: (params.get("node") || null) as NodeId | null,
    search: params.get("q") ?? "",
    sort,
    folded: params.getAll("fold").filter((key) => parseKey(key) !== null),
    selected: selected === null ? null : parseKey(selected),
  };
}

/** The address of a route. The parameters of the actor table are omitted on other pages. */
export function format(route: Route, base: string): string {
  const params = new URLSearchParams();
  if (route.node !== null) params.set("node", route.node);
  if (route.page === "actors") {
    if (route.search !== "") params.set("q", route.search);
    if (route.sort !== "tree") params.set("sort", route.sort);
    for (const key of route.folded) params.append("fold", key);
    if (route.selected !== null) params.set("sel", keyOf(route.selected));
  }
  // `:` and `/` are allowed in a query, and an actor's path stays readable with them.
  const query = params.toString().replaceAll("%3A", ":").replaceAll("%2F", "/");
  const path = route.page === "actors" ? `${base}actors` : base;
  return query === "" ? path : `${path}?${query}`;
}

function pageOf(pathname: string, base: string): Page {
  const rest = pathname.startsWith(base) ? pathname.slice(base.length).replace(/\/$/, "") : "";
  if (rest === "") return "overview";
  return rest === "actors" ? "actors" : "missing";
}
