import { expect, test } from "vitest";
import { readForm } from "./clone";

const ORIGINAL = { queue: "mail", priority: 50 };
const FORM = { args: '{"user":12345678901234567890}', queue: "mail", priority: "50", runAt: "" };

test("what is as in the original is left out, and arguments keep their digits", () => {
  expect(readForm(FORM, ORIGINAL)).toEqual({ args: '{"user":12345678901234567890}', queue: null, priority: null, runAt: null });
  expect(readForm({ ...FORM, queue: "slow", priority: "75" }, ORIGINAL)).toMatchObject({ queue: "slow", priority: 75 });
});

test("a time is one of the browser's zone", () => {
  expect(readForm({ ...FORM, runAt: "2026-11-29T14:30" }, ORIGINAL)).toMatchObject({ runAt: new Date(2026, 10, 29, 14, 30).toISOString() });
});

test("what cannot be sent is said", () => {
  for (const wrong of [{ args: "{user: 7}" }, { priority: "101" }, { priority: "" }, { queue: " " }, { runAt: "2026-13-01T00:00" }]) {
    expect(typeof readForm({ ...FORM, ...wrong }, ORIGINAL), JSON.stringify(wrong)).toBe("string");
  }
});
