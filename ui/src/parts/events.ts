// The icon, colour and word of each kind of event.

import type { ActorEvent, ActorEventKind } from "../forge/api";
import type { IconName } from "./icons";
import type { Tone } from "./status";

/** What happened to an actor, or to a node (`joined`, `left`, `lost`). */
export type EventKind = ActorEventKind | "joined" | "left" | "lost";

export type EventStyle = { readonly icon: IconName; readonly tone: Tone; readonly word: string };

const STYLES: Readonly<Record<EventKind, EventStyle>> = {
  started: { icon: "play", tone: "dim", word: "started" },
  stopped: { icon: "stop", tone: "dim", word: "stopped" },
  crashed: { icon: "alert", tone: "bad", word: "crashed" },
  restarting: { icon: "restart", tone: "warn", word: "restarts" },
  budgetExhausted: { icon: "alert", tone: "bad", word: "has no restarts left" },
  escalated: { icon: "alert", tone: "bad", word: "failed to its supervisor" },
  gaveUp: { icon: "alert", tone: "bad", word: "gave up" },
  joined: { icon: "join", tone: "ok", word: "node started" },
  left: { icon: "leave", tone: "dim", word: "node stopped" },
  lost: { icon: "alert", tone: "bad", word: "node lost" },
};

export function styleOf(kind: EventKind): EventStyle {
  return STYLES[kind];
}

/** The event as text: "restarts in 100 ms", "crashed: no space left on device". */
export function eventText(event: Pick<ActorEvent, "text"> & { readonly kind: EventKind }): string {
  const { word } = styleOf(event.kind);
  if (event.text === "") return word;
  return event.kind === "restarting" ? `${word} ${event.text}` : `${word}: ${event.text}`;
}
