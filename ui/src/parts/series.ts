// Short histories, kept by the page: a node answers with what is, the page remembers what was.

/** Points of one sparkline. */
export const POINTS_MAX = 60;

/** The newest values, oldest first; the oldest falls out when a new one comes to a full one. */
export type Series = readonly number[];

export function pushed(series: Series, value: number): Series {
  return series.length < POINTS_MAX ? [...series, value] : [...series.slice(1 - POINTS_MAX), value];
}

/** A counter at one moment. */
export type Reading = { readonly atMs: number; readonly value: number };

/** Growth per second between two readings; 0 when time stood still, or the counter began again because its node did. */
export function perSecond(before: Reading, now: Reading): number {
  if (now.atMs <= before.atMs || now.value < before.value) return 0;
  return ((now.value - before.value) * 1_000) / (now.atMs - before.atMs);
}

/** The line of a sparkline as SVG path data, from the right edge: a young history does not pretend to be a long one. */
export function line(series: Series, width: number, height: number, points = POINTS_MAX): string {
  if (series.length < 2) return "";
  const top = Math.max(...series, Number.MIN_VALUE);
  const step = width / (points - 1);
  const left = width - step * (series.length - 1);
  const at = (value: number, index: number): string => {
    const x = left + index * step;
    const y = height - 1 - (Math.max(value, 0) / top) * (height - 2);
    return `${x.toFixed(1)} ${y.toFixed(1)}`;
  };
  return `M${series.map(at).join("L")}`;
}
