// How the bars of a timeline are drawn, and what they mean. The state of each row says the same in words.

import type { BarLook } from "./timeline";

/** `fill` and `edge` are values of CSS; `means` is what the legend says. */
export type LookStyle = { readonly means: string; readonly fill: string; readonly edge: string | null; readonly isThin: boolean };

/** In the order of the legend. */
export const LOOKS: Readonly<Record<BarLook, LookStyle>> = {
  work: { means: "executed", fill: "var(--ok)", edge: null, isThin: false },
  wait: { means: "waits", fill: "repeating-linear-gradient(90deg, var(--faint) 0 4px, transparent 4px 7px)", edge: null, isThin: true },
  undo: { means: "compensated", fill: stripes("var(--warn)"), edge: "var(--warn)", isThin: false },
  failed: { means: "failed", fill: "var(--bad)", edge: null, isThin: false },
  retry: { means: "tried again", fill: stripes("var(--bad)"), edge: "var(--bad)", isThin: false },
  idle: { means: "skipped, abandoned or interrupted", fill: "transparent", edge: "var(--faint)", isThin: false },
};

function stripes(colour: string): string {
  return `repeating-linear-gradient(135deg, ${colour} 0 4px, transparent 4px 6px)`;
}
