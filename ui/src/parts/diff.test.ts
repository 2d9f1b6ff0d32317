import { expect, test } from "vitest";
import { differences } from "./diff";

/** A text with what differs in brackets. */
function marked(left: string, right: string): string[] {
  return differences(left, right).map((segments) => segments.map(({ text, isSame }) => (isSame ? text : `[${text}]`)).join(""));
}

test("words that differ are found in both texts", () => {
  expect(marked("connection refused (os error 111): mail-1:25", "connection timed out (os error 110): mail-2:25")).toEqual([
    "connection[ refused] (os error[ 111]): mail-[1]:25",
    "connection[ timed out] (os error[ 110]): mail-[2]:25",
  ]);
});

test("equal and unrelated texts", () => {
  expect(marked("the same", "the same")).toEqual(["the same", "the same"]);
  expect(marked("", "new")).toEqual(["", "[new]"]);
  expect(marked("a", "b")).toEqual(["[a]", "[b]"]);
});

test("very long texts are compared in part", () => {
  const long = "word ".repeat(2_000);
  const [left] = differences(long, long);
  expect(left).toHaveLength(2);
  expect(left.map(({ text }) => text).join("")).toBe(long);
});
