// Where the reader is: everything that a view shows is in its address, so that a link shows the same to someone else.

import type { NodeId, ActorSort } from "../forge/api";

const SORTS: readonly ActorSort[] = ["tree", "mailbox", "rate", "restarts", "busy"];

export type Page = "overview" | "actors" | "missing";

/** An actor of the cluster. */
export type Address = { readonly node: NodeId; readonly path: string };

export type Place = {
  readonly page: Page;
  /** One node, or null for all of them. */
  readonly node: NodeId | null;
  readonly search: string;
  readonly sort: ActorSort;
  /** Keys of the actors whose children are folded away. */
  readonly folded: readonly string[];
  /** The actor of the drawer. */
  readonly selected: Address | null;
};

export const START: Place = { page: "overview", node: null, search: "", sort: "tree", folded: [], selected: null };

/** The one spelling of an actor in addresses and in `collapsed`. A node's id has no colon. */
export function keyOf(actor: Address): string {
  return `${actor.node}:${actor.path}`;
}

export function addressOf(key: string): Address | null {
  const colon = key.indexOf(":");
  if (colon < 1 || colon === key.length - 1) return null;
  return { node: key.slice(0, colon) as NodeId, path: key.slice(colon + 1) };
}

/** Reads an address below `base`; parameters that it does not know, or cannot read, count as absent. */
export function parse(pathname: string, query: string, base: string): Place {
  const params = new URLSearchParams(query);
  const sort = SORTS.find((known) => known === params.get("sort")) ?? "tree";
  const selected = params.get("sel");
  return {
    page: pageOf(pathname, base),
    node: (params.get("node") || null) as NodeId | null,
    search: params.get("q") ?? "",
    sort,
    folded: params.getAll("fold").filter((key) => addressOf(key) !== null),
    selected: selected === null ? null : addressOf(selected),
  };
}

/** The address of a place; a view's own parameters stay behind when another page is shown. */
export function format(place: Place, base: string): string {
  const params = new URLSearchParams();
  if (place.node !== null) params.set("node", place.node);
  if (place.page === "actors") {
    if (place.search !== "") params.set("q", place.search);
    if (place.sort !== "tree") params.set("sort", place.sort);
    for (const key of place.folded) params.append("fold", key);
    if (place.selected !== null) params.set("sel", keyOf(place.selected));
  }
  // `:` and `/` are allowed in a query, and an actor's path stays readable with them.
  const query = params.toString().replaceAll("%3A", ":").replaceAll("%2F", "/");
  const path = place.page === "actors" ? `${base}actors` : base;
  return query === "" ? path : `${path}?${query}`;
}

function pageOf(pathname: string, base: string): Page {
  const rest = pathname.startsWith(base) ? pathname.slice(base.length).replace(/\/$/, "") : "";
  if (rest === "") return "overview";
  return rest === "actors" ? "actors" : "missing";
}
