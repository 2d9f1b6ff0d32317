// Earlier answers of the overview: the series of its sparklines, and the calls of the last minute.

import type { NodeId } from "../forge/api";
import { type Series, perSecond, append } from "../parts/series";
import type { Totals } from "./totals";
import type { RecentCalls } from "./health";

const RECENT_MS = 60_000;

/** Counters at one moment. */
type Sample = Pick<Totals, "ticks" | "calls" | "errors"> & { readonly atMs: number };

export type History = {
  /** The node of the history; null for all nodes. */
  readonly of: NodeId | null;
  readonly sessions: Series;
  readonly queryGroups: Series;
  readonly tickRate: Series;
  readonly lagMs: Series;
  readonly callRate: Series;
  readonly errorRate: Series;
  /** Counters of the last minute, oldest first. */
  readonly samples: readonly Sample[];
};

export function emptyHistory(of: NodeId | null): History {
  return { of, sessions: [], queryGroups: [], tickRate: [], lagMs: [], callRate: [], errorRate: [], samples: [] };
}

/** Adds an answer to the history. An answer that was added before is ignored; an answer of another node begins a new history. */
export function withAnswer(history: History, of: NodeId | null, atMs: number, totals: Totals): History {
  if (history.of !== of) return withAnswer(emptyHistory(of), of, atMs, totals);
  const now = { atMs, ticks: totals.ticks, calls: totals.calls, errors: totals.errors };
  const before = history.samples.at(-1);
  if (before !== undefined && atMs <= before.atMs) return history;
  // A rate takes two answers, so the first one adds none.
  const rate = (series: Series, counter: "ticks" | "calls" | "errors"): Series =>
    before === undefined ? series : append(series, perSecond({ atMs: before.atMs, value: before[counter] }, { atMs, value: now[counter] }));
  return {
    of,
    sessions: append(history.sessions, totals.sessions),
    queryGroups: append(history.queryGroups, totals.queryGroups),
    tickRate: rate(history.tickRate, "ticks"),
    lagMs: append(history.lagMs, totals.changeLagMs),
    callRate: rate(history.callRate, "calls"),
    errorRate: rate(history.errorRate, "errors"),
    samples: [...history.samples.filter((sample) => atMs - sample.atMs <= RECENT_MS), now],
  };
}

export function recentCalls(history: History): RecentCalls {
  const first = history.samples[0];
  const last = history.samples.at(-1);
  if (first === undefined || last === undefined) return { calls: 0, errors: 0 };
  // A counter that restarted with its node in the meantime gives no number of calls.
  return { calls: Math.max(last.calls - first.calls, 0), errors: Math.max(last.errors - first.errors, 0) };
}

/** The mean of the newest points, since a rate between two answers changes too fast to be read. */
export function recentMean(series: Series, points = 8): number {
  const newest = series.slice(-points);
  return newest.length === 0 ? 0 : newest.reduce((sum, value) => sum + value, 0) / newest.length;
}
