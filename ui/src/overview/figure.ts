// Figures of subsystems that `NodeStats` has no field for: the page shows each with the name that the node reports.

import type { Figure, NodeStats } from "../forge/api";
import { count, duration } from "../parts/format";

/** Figures by subsystem, in the order in which the node reports them. */
export function figuresOf(stats: NodeStats | null): readonly (readonly [string, readonly Figure[]])[] {
  const groups = new Map<string, Figure[]>();
  for (const figure of stats?.figures ?? []) groups.set(figure.subsystem, [...(groups.get(figure.subsystem) ?? []), figure]);
  return [...groups];
}

/** "3 leases", "12 ms lag". */
export function figureText({ name, value, unit }: Figure): string {
  return `${amount(value, unit)} ${name}`;
}

function amount(value: number, unit: Figure["unit"]): string {
  switch (unit) {
    case "count":
      return count(value);
    case "ms":
      return duration(value);
    case "bytes":
      return value < 1_048_576 ? `${Math.round(value / 1_024)} KiB` : `${(value / 1_048_576).toFixed(1)} MiB`;
    case "ratio":
      return `${Math.round(100 * value)} %`;
  }
}
