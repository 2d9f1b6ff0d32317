// The commands for actors, the reasons for which they are refused, and their consequences.

import type { ActorRow } from "../forge/api";
import { plural } from "../parts/format";
import { isSystem } from "./status";

export type ActionName = "restart" | "stop";

export const ACTIONS: Readonly<Record<ActionName, { readonly verb: string; readonly done: string }>> = {
  restart: { verb: "Restart", done: "Restarted" },
  stop: { verb: "Stop", done: "Stopped" },
};

type Target = Pick<ActorRow, "kind" | "path" | "state" | "children">;

/** Why an actor cannot be restarted or stopped; null when it can. */
export function refusal(name: ActionName, actor: Pick<Target, "kind" | "path" | "state">): string | null {
  if (!actor.path.includes("/")) return "The root supervisor runs as long as its node.";
  if (name === "restart" && actor.kind === "session") return "A session starts with its client: stop it, and the client connects again.";
  return name === "stop" && actor.state.is === "stopped" ? "This actor is stopped already." : null;
}

/** The consequence of a command, as the dialog states it. */
export function consequence(name: ActionName, actor: Pick<Target, "kind" | "children">): string {
  const below = actor.children > 0 ? ` and ${plural(actor.children, "actor")} below it` : "";
  const stops = below === "" ? "It stops" : `It${below} stop`;
  if (name === "restart") return `${stops}, then ${below === "" ? "starts" : "start"} again. Messages that wait are lost.`;
  if (actor.kind === "session") return "It stops, and its client connects again.";
  return `${stops}, and ${below === "" ? "stays" : "stay"} so until an administrator restarts it, or its node starts again.`;
}

/** The word that confirms a command for an actor of the node itself; null when a click is enough. */
export function confirmationWord(actor: Pick<Target, "kind" | "path">): string | null {
  return isSystem(actor) ? (actor.path.split("/").at(-1) ?? actor.path) : null;
}
