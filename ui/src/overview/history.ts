// What the overview remembers of the answers before: its sparklines, and the calls of the last minute.

import type { Overview } from "../forge/api";
import { type Reading, type Series, perSecond, pushed } from "../parts/series";
import type { Recent } from "./verdict";

const RECENT_MS = 60_000;

type Sample = { readonly atMs: number; readonly ticks: number; readonly calls: number; readonly errors: number };

export type History = {
  readonly sessions: Series;
  readonly subscriptions: Series;
  readonly tickRate: Series;
  readonly lagMs: Series;
  readonly callRate: Series;
  readonly errorRate: Series;
  /** Counters of the last minute, oldest first. */
  readonly samples: readonly Sample[];
};

export const NO_HISTORY: History = { sessions: [], subscriptions: [], tickRate: [], lagMs: [], callRate: [], errorRate: [], samples: [] };

/** The history with one more answer; the same answer twice counts once. */
export function remembered(history: History, overview: Overview): History {
  const now = { atMs: Date.parse(overview.at), ticks: overview.ticks, calls: overview.functions.calls, errors: overview.functions.errors };
  const before = history.samples.at(-1);
  if (before !== undefined && now.atMs <= before.atMs) return history;
  const rate = (of: (sample: Sample) => number): number => perSecond(before && reading(before, of), reading(now, of));
  return {
    sessions: pushed(history.sessions, overview.sessions),
    subscriptions: pushed(history.subscriptions, overview.subscriptions),
    tickRate: pushed(history.tickRate, rate((sample) => sample.ticks)),
    lagMs: pushed(history.lagMs, overview.changeLagMs),
    callRate: pushed(history.callRate, rate((sample) => sample.calls)),
    errorRate: pushed(history.errorRate, rate((sample) => sample.errors)),
    samples: [...history.samples.filter((sample) => now.atMs - sample.atMs <= RECENT_MS), now],
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

function reading(sample: Sample, of: (sample: Sample) => number): Reading {
  return { atMs: sample.atMs, value: of(sample) };
}
