// What the kinds of events look like and are called. The node may know kinds that this page does not: those are plain.

import type { LifeEvent } from "../forge/api";
import type { IconName } from "./icons";
import type { Tone } from "./status";

export type Look = { readonly icon: IconName; readonly tone: Tone; readonly word: string };

const LOOKS: Readonly<Record<string, Look>> = {
  started: { icon: "play", tone: "dim", word: "started" },
  stopped: { icon: "stop", tone: "dim", word: "stopped" },
  crashed: { icon: "alert", tone: "bad", word: "crashed" },
  restarting: { icon: "restart", tone: "warn", word: "restarts" },
  budgetExhausted: { icon: "alert", tone: "bad", word: "has no restart left" },
  escalated: { icon: "alert", tone: "bad", word: "failed to its supervisor" },
  gaveUp: { icon: "alert", tone: "bad", word: "gave up" },
  joined: { icon: "join", tone: "ok", word: "node started" },
  left: { icon: "leave", tone: "warn", word: "node seen for the last time" },
};

export function lookOf(kind: string): Look {
  return LOOKS[kind] ?? { icon: "chevron", tone: "dim", word: kind };
}

/** "restarts in 100 ms", "crashed: no space left on device". */
export function sentence(event: Pick<LifeEvent, "kind" | "text">): string {
  const { word } = lookOf(event.kind);
  if (event.text === "") return word;
  return event.kind === "restarting" ? `${word} ${event.text}` : `${word}: ${event.text}`;
}
