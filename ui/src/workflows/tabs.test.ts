import { expect, test } from "vitest";
import type { WorkflowTotals } from "../forge/api";
import { readQuery } from "./query";
import { TABS, countOf, isOpen, opened } from "./tabs";

test("each tab is open after it was opened, and no other one", () => {
  for (const one of TABS) {
    const { filter, problems } = readQuery(opened(one, "workflow:onboard status:failed text"));
    expect(TABS.filter((other) => isOpen(other, filter))).toEqual([one]);
    expect(filter).toMatchObject({ workflow: "onboard", text: "text" });
    expect(problems).toEqual([]);
  }
});

test("the tabs of runs that need a person are red", () => {
  expect(TABS.filter(({ isLoud }) => isLoud).map(({ label }) => label)).toEqual(["Paused", "Diverged", "Compensation failed"]);
});

test("the counts of a tab", () => {
  const totals: WorkflowTotals = {
    statuses: [
      { status: "waiting", count: { count: 5_000, isMore: true } },
      { status: "diverged", count: { count: 2, isMore: false } },
      { status: "completed", count: { count: 9, isMore: false } },
    ],
    versions: [],
  };
  const of = (label: string) => TABS.filter((tab) => tab.label === label).map((tab) => countOf(tab, totals));
  expect(of("All")).toEqual([null]);
  expect(of("Live")).toEqual([{ count: 5_002, isMore: true }]);
  expect(of("Diverged")).toEqual([{ count: 2, isMore: false }]);
  expect(of("Compensation failed")).toEqual([{ count: 0, isMore: false }]);
});
