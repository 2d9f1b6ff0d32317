// What the kinds of events look like. The node may know kinds that this page does not: those are plain.

import type { IconName } from "./icons";
import type { Tone } from "./status";

export type Look = { readonly icon: IconName; readonly tone: Tone };

const LOOKS: Readonly<Record<string, Look>> = {
  started: { icon: "play", tone: "dim" },
  stopped: { icon: "stop", tone: "dim" },
  crashed: { icon: "alert", tone: "bad" },
  restarting: { icon: "restart", tone: "warn" },
  budgetExhausted: { icon: "alert", tone: "bad" },
  escalated: { icon: "alert", tone: "bad" },
  gaveUp: { icon: "alert", tone: "bad" },
  joined: { icon: "join", tone: "ok" },
  left: { icon: "leave", tone: "warn" },
};

export function lookOf(kind: string): Look {
  return LOOKS[kind] ?? { icon: "chevron", tone: "dim" };
}
