// The columns of the actor table.

import type { ActorSort } from "../forge/api";

export type Column = {
  readonly id: "name" | "kind" | "node" | "state" | "mailbox" | "rate" | "restarts" | "error" | "current";
  readonly label: string;
  readonly sort: ActorSort | null;
  /** The order of the rows, for the tooltip of the header. */
  readonly hint: string;
};

export const COLUMNS: readonly Column[] = [
  { id: "name", label: "Actor", sort: "tree", hint: "supervisors before their children" },
  { id: "kind", label: "Kind", sort: null, hint: "" },
  { id: "node", label: "Node", sort: null, hint: "" },
  { id: "state", label: "State", sort: null, hint: "" },
  { id: "mailbox", label: "Mailbox", sort: "mailbox", hint: "fullest first" },
  { id: "rate", label: "Messages/s", sort: "rate", hint: "busiest first" },
  { id: "restarts", label: "Restarts", sort: "restarts", hint: "most first" },
  { id: "error", label: "Last error", sort: null, hint: "" },
  { id: "current", label: "Current message", sort: "busy", hint: "longest first" },
];
