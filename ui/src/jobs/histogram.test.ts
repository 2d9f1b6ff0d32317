import { expect, test } from "vitest";
import { barsOf } from "./histogram";

test("each bucket is a bar with its text", () => {
  const buckets = [
    { upToMs: 1_000, jobs: { count: 50, isMore: false } },
    { upToMs: 60_000, jobs: { count: 0, isMore: false } },
    { upToMs: 600_000, jobs: { count: 5_000, isMore: true } },
    { upToMs: null, jobs: { count: 1, isMore: false } },
  ];
  expect(barsOf({ at: "2026-11-29T12:00:00Z", buckets })).toEqual([
    { label: "up to 1 s", text: "50", share: 0.01, isLong: false },
    { label: "up to 1 min", text: "0", share: 0, isLong: false },
    { label: "up to 10 min", text: "5,000+", share: 1, isLong: true },
    { label: "over 10 min", text: "1", share: 0.0002, isLong: true },
  ]);
});
