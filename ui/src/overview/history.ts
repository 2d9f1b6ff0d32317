// What the overview remembers of the answers before: its sparklines, and the calls of the last minute.

import type { NodeId } from "../forge/api";
import { type Series, perSecond, pushed } from "../parts/series";
import type { Totals } from "./totals";
import type { Recent } from "./health";

const RECENT_MS = 60_000;

/** Counters at one moment. */
type Sample = Pick<Totals, "ticks" | "calls" | "errors"> & { readonly atMs: number };

export type History = {
  /** Of which node; null of all. */
  readonly of: NodeId | null;
  readonly sessions: Series;
  readonly queryGroups: Series;
  readonly tickRate: Series;
  readonly lagMs: Series;
  readonly callRate: Series;
  readonly errorRate: Series;
  /** Of the last minute, oldest first. */
  readonly samples: readonly Sample[];
};

export function noHistory(of: NodeId | null): History {
  return { of, sessions: [], queryGroups: [], tickRate: [], lagMs: [], callRate: [], errorRate: [], samples: [] };
}

/** The history with one more answer; the same answer twice counts once, and that of another node begins anew. */
export function remembered(history: History, of: NodeId | null, atMs: number, totals: Totals): History {
  if (history.of !== of) return remembered(noHistory(of), of, atMs, totals);
  const now = { atMs, ticks: totals.ticks, calls: totals.calls, errors: totals.errors };
  const before = history.samples.at(-1);
  if (before !== undefined && atMs <= before.atMs) return history;
  // The first answer has nothing to grow from.
  const rate = (series: Series, counter: "ticks" | "calls" | "errors"): Series =>
    before === undefined ? series : pushed(series, perSecond({ atMs: before.atMs, value: before[counter] }, { atMs, value: now[counter] }));
  return {
    of,
    sessions: pushed(history.sessions, totals.sessions),
    queryGroups: pushed(history.queryGroups, totals.queryGroups),
    tickRate: rate(history.tickRate, "ticks"),
    lagMs: pushed(history.lagMs, totals.changeLagMs),
    callRate: rate(history.callRate, "calls"),
    errorRate: rate(history.errorRate, "errors"),
    samples: [...history.samples.filter((sample) => atMs - sample.atMs <= RECENT_MS), now],
  };
}

export function recentOf(history: History): Recent {
  const first = history.samples[0];
  const last = history.samples.at(-1);
  if (first === undefined || last === undefined) return { calls: 0, errors: 0 };
  // A counter that began again in between says nothing about the minute.
  return { calls: Math.max(last.calls - first.calls, 0), errors: Math.max(last.errors - first.errors, 0) };
}

/** The mean of the newest points: a rate between two answers jumps too much to be read. */
export function level(series: Series, points = 8): number {
  const newest = series.slice(-points);
  return newest.length === 0 ? 0 : newest.reduce((sum, value) => sum + value, 0) / newest.length;
}
