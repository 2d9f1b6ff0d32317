import { expect, test } from "vitest";
import { STATS } from "./cluster.fixture";
import { figureText, figuresOf } from "./figure";

test("figures are grouped by subsystem, in the order of the report", () => {
  const figures = [
    { subsystem: "jobs", name: "leases", value: 3, unit: "count" },
    { subsystem: "mail", name: "lag", value: 12, unit: "ms" },
    { subsystem: "jobs", name: "running", value: 1, unit: "count" },
  ] as const;
  const groups = figuresOf({ ...STATS, figures: [...figures] });
  expect(groups.map(([subsystem, of]) => [subsystem, of.map((figure) => figure.name)])).toEqual([
    ["jobs", ["leases", "running"]],
    ["mail", ["lag"]],
  ]);
  expect(figuresOf(null)).toEqual([]);
});

test("a figure is written with its unit", () => {
  const text = (value: number, unit: "count" | "ms" | "bytes" | "ratio") => figureText({ subsystem: "s", name: "n", value, unit });
  expect([text(1_200, "count"), text(12, "ms"), text(2_048, "bytes"), text(3_145_728, "bytes"), text(0.5, "ratio")]).toEqual([
    "1,200 n",
    "12 ms n",
    "2 KiB n",
    "3.0 MiB n",
    "50 % n",
  ]);
});
