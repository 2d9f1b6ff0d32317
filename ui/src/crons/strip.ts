// The last day of a cron as a strip of slots: a shape for the outcome in each of them, and texts that say the same.

import type { CronDay, CronDays, CronSlot } from "../forge/api";
import { count } from "../parts/format";
import type { Tone } from "../parts/status";

/** What became of times, the worst first. */
export const OUTCOMES = ["failed", "missed", "overlapped", "late", "unknown", "unfinished", "completed"] as const;
export type Outcome = (typeof OUTCOMES)[number];

type OutcomeStyle = { readonly tone: Tone | "accent"; readonly word: string; readonly means: string };

export const STYLES: Readonly<Record<Outcome, OutcomeStyle>> = {
  failed: { tone: "bad", word: "failed", means: "failed, or was cancelled" },
  missed: { tone: "warn", word: "missed", means: "skipped: no leader saw the time in time" },
  overlapped: { tone: "warn", word: "overlapped", means: "skipped: the run before was not finished" },
  late: { tone: "warn", word: "late", means: "succeeded, and began more than 10 s late" },
  unknown: { tone: "dim", word: "unknown", means: "ended, and its job is gone" },
  unfinished: { tone: "accent", word: "unfinished", means: "waits or runs" },
  completed: { tone: "ok", word: "in time", means: "succeeded" },
};

/** The colour of an outcome, for CSS. */
export function colour(outcome: Outcome): string {
  const { tone } = STYLES[outcome];
  return `var(--${tone === "dim" ? "faint" : tone})`;
}

/** Width of a slot and height of the strip, in the units of the paths. */
export const SLOT = 8;
export const HEIGHT = 20;

/** The outcome that stands for a slot: the worst one. */
export function worst(slot: CronSlot): Outcome | null {
  return OUTCOMES.find((outcome) => slot[outcome] > 0) ?? null;
}

/** How many times had each outcome. */
export function totals(slots: readonly CronSlot[]): Readonly<Record<Outcome, number>> {
  const sum = (outcome: Outcome): number => slots.reduce((total, slot) => total + slot[outcome], 0);
  return {
    failed: sum("failed"),
    missed: sum("missed"),
    overlapped: sum("overlapped"),
    late: sum("late"),
    unknown: sum("unknown"),
    unfinished: sum("unfinished"),
    completed: sum("completed"),
  };
}

/** "2 failed, 1,438 in time"; "no time came" without any. */
export function summary(slots: readonly CronSlot[]): string {
  const all = totals(slots);
  const texts = OUTCOMES.filter((outcome) => all[outcome] > 0).map((outcome) => `${count(all[outcome])} ${STYLES[outcome].word}`);
  return texts.length === 0 ? "no time came" : texts.join(", ");
}

/** The path of the outcome's shape in the slot at `index`. The shapes differ without their colours. */
export function shape(outcome: Outcome, index: number): string {
  const x = index * SLOT + 1;
  switch (outcome) {
    case "completed":
      return box(x, 10, 6, 10);
    case "late":
      return box(x, 10, 6, 3) + box(x, 15, 6, 5);
    case "failed":
    case "missed":
    case "overlapped":
      return trouble(outcome, x, HEIGHT);
    case "unfinished":
      return box(x, 16, 6, 4);
    case "unknown":
      return box(x, 17, 2, 3) + box(x + 4, 17, 2, 3);
  }
}

/** The shapes of a day, one path for each outcome that is in it. */
export function paths(slots: readonly CronSlot[]): readonly { readonly outcome: Outcome; readonly path: string }[] {
  const drawn = new Map<Outcome, string>();
  for (const slot of slots) {
    for (const { outcome, path } of shapesOf(slot)) drawn.set(outcome, (drawn.get(outcome) ?? "") + path);
  }
  return [...drawn].map(([outcome, path]) => ({ outcome, path }));
}

/** The shapes of a slot. Where only some times went wrong, what went wrong is above what went well. */
function shapesOf(slot: CronSlot): readonly { readonly outcome: Outcome; readonly path: string }[] {
  const outcome = worst(slot);
  if (outcome === null) return [];
  const well = slot.late > 0 ? "late" : "completed";
  if (!isTrouble(outcome) || slot[well] === 0) return [{ outcome, path: shape(outcome, slot.index) }];
  const above = trouble(outcome, slot.index * SLOT + 1, 8);
  return [
    { outcome, path: above },
    { outcome: well, path: shape(well, slot.index) },
  ];
}

type Trouble = "failed" | "missed" | "overlapped";

function isTrouble(outcome: Outcome): outcome is Trouble {
  return outcome === "failed" || outcome === "missed" || outcome === "overlapped";
}

/** A solid box, a frame, or two bars. */
function trouble(outcome: Trouble, x: number, height: number): string {
  switch (outcome) {
    case "failed":
      return box(x, 0, 6, height);
    case "missed":
      return box(x, 0, 6, height) + hole(x + 1.5, 1.5, 3, height - 3);
    case "overlapped":
      return box(x, 0, 2, height) + box(x + 4, 0, 2, height);
  }
}

/** The part of the strip of which nothing is known, as a share of its width: a cron with very many times is counted in part. */
export function unknownShare(days: Pick<CronDays, "from" | "slotMs" | "slots">, day: Pick<CronDay, "knownFrom">): number {
  if (day.knownFrom === null) return 0;
  const share = (Date.parse(day.knownFrom) - Date.parse(days.from)) / (days.slotMs * days.slots);
  return Math.min(Math.max(share, 0), 1);
}

/** "13:30 to 14:00: 2 failed, 28 in time", in the time zone of the browser. */
export function slotText(days: Pick<CronDays, "from" | "slotMs">, slot: CronSlot): string {
  const startMs = Date.parse(days.from) + slot.index * days.slotMs;
  return `${clock(startMs)} to ${clock(startMs + days.slotMs)}: ${summary([slot])}`;
}

/** The hours under a strip: at the start of every sixth one, as shares of the width. */
export function ticks(days: Pick<CronDays, "from" | "slotMs" | "slots">): readonly { readonly share: number; readonly text: string }[] {
  const every = Math.round((6 * 3_600_000) / days.slotMs);
  const numbers = Array.from({ length: Math.floor((days.slots - 1) / every) + 1 }, (_, at) => at * every);
  return numbers.map((index) => ({ share: index / days.slots, text: clock(Date.parse(days.from) + index * days.slotMs) }));
}

function clock(ms: number): string {
  return new Date(ms).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

function box(x: number, y: number, width: number, height: number): string {
  return `M${x} ${y}h${width}v${height}h${-width}z`;
}

/** A box in the other direction, which is left empty inside of another one. */
function hole(x: number, y: number, width: number, height: number): string {
  return `M${x} ${y}v${height}h${width}v${-height}z`;
}
