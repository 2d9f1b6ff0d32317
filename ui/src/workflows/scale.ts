// The time axis of a run: where a moment lies between its start and its end.

/** Maps moments to shares of the width, from 0 to 1, and back. */
export type Scale = { readonly at: (ms: number) => number; readonly momentAt: (share: number) => number };

/** The axis from `fromMs` to `toMs`, to scale. */
export function linearScale(fromMs: number, toMs: number): Scale {
  return scaleOf([fromMs, Math.max(toMs, fromMs + 1)], (ms) => ms);
}

/**
 * The axis on which each interval between two successive `moments` has a width that grows with the logarithm of its length, so that steps of
 * milliseconds are seen beside waits of days.
 */
export function compressedScale(fromMs: number, toMs: number, moments: readonly number[]): Scale {
  const end = Math.max(toMs, fromMs + 1);
  const inside = moments.filter((ms) => ms > fromMs && ms < end);
  const points = [...new Set([fromMs, ...inside, end])].sort((a, b) => a - b);
  return scaleOf(points, (ms) => Math.log2(1 + ms));
}

/** A mark of the axis: its share, and the time since a moment. */
export type Tick = { readonly share: number; readonly sinceMs: number };

/** Marks at equal distances, with the time since `originMs`. */
export function ticksOf(scale: Scale, count: number, originMs: number): readonly Tick[] {
  return Array.from({ length: count + 1 }, (_, index) => ({ share: index / count, sinceMs: scale.momentAt(index / count) - originMs }));
}

function scaleOf(points: readonly number[], weightOf: (ms: number) => number): Scale {
  const shares = [0];
  for (let index = 1; index < points.length; index += 1) shares.push((shares[index - 1] ?? 0) + weightOf((points[index] ?? 0) - (points[index - 1] ?? 0)));
  const whole = shares.at(-1) ?? 1;
  const scaled = shares.map((share) => share / whole);
  return { at: (ms) => interpolated(points, scaled, ms), momentAt: (share) => interpolated(scaled, points, share) };
}

/** The value of `to` at the place that `x` has in `from`, which ascends. */
function interpolated(from: readonly number[], to: readonly number[], x: number): number {
  let [low, high] = [0, from.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((from[middle] ?? 0) <= x) low = middle;
    else high = middle;
  }
  const [x0, x1, y0, y1] = [from[low] ?? 0, from[high] ?? 1, to[low] ?? 0, to[high] ?? 1];
  const share = x1 === x0 ? 0 : Math.min(Math.max((x - x0) / (x1 - x0), 0), 1);
  return y0 + share * (y1 - y0);
}
