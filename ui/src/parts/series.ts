// Short histories of figures. A node reports only the present value, so the page keeps the earlier ones.

/** Values of a series at most, and points of a sparkline. */
export const POINTS_MAX = 60;

/** The newest values, oldest first. */
export type Series = readonly number[];

/** `series` with `value` at its end; a full series loses its oldest value. */
export function append(series: Series, value: number): Series {
  return series.length < POINTS_MAX ? [...series, value] : [...series.slice(1 - POINTS_MAX), value];
}

/** A counter at one moment. */
export type Reading = { readonly atMs: number; readonly value: number };

/** Growth per second between two readings; 0 when no time passed, or when the counter restarted with its node. */
export function perSecond(before: Reading, now: Reading): number {
  if (now.atMs <= before.atMs || now.value < before.value) return 0;
  return ((now.value - before.value) * 1_000) / (now.atMs - before.atMs);
}

/** The line of a sparkline as SVG path data. It ends at the right edge, so that a short history fills only a part of the width. */
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
