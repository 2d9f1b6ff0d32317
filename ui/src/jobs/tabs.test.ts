import { expect, test } from "vitest";
import type { JobTotals } from "../forge/api";
import { readQuery } from "./query";
import { TABS, countOf, isOpen, opened } from "./tabs";

function tab(label: string) {
  const found = TABS.find((one) => one.label === label);
  if (found === undefined) throw new Error(`no tab ${label}`);
  return found;
}

test("each tab is open after it was opened, and no other one", () => {
  for (const one of TABS) {
    const { filter, problems } = readQuery(opened(one, "queue:mail status:retry text"));
    expect(TABS.filter((other) => isOpen(other, filter))).toEqual([one]);
    expect(filter).toMatchObject({ queue: "mail", text: "text" });
    expect(problems).toEqual([]);
  }
});

test("the counts of a tab", () => {
  const exact = (count: number) => ({ count, isMore: false });
  const totals: JobTotals = {
    statuses: [
      { status: "claimed", count: exact(2) },
      { status: "running", count: { count: 3, isMore: true } },
      { status: "failed", count: exact(4) },
    ],
    due: exact(5),
    scheduled: exact(6),
    blocked: exact(7),
  };
  expect(countOf(tab("Running"), totals)).toEqual({ count: 5, isMore: true });
  expect(countOf(tab("Failed"), totals)).toEqual(exact(4));
  expect(countOf(tab("Blocked"), totals)).toEqual(exact(7));
  expect(countOf(tab("All"), totals)).toBeNull();
});
