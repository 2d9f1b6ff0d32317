import { expect, test } from "vitest";
import { interpret, type Press } from "./keys";

function press(key: string, where: Partial<Press> = {}): Press {
  return { key, modified: false, typing: false, control: false, ...where };
}

test("a chord is two keys", () => {
  const first = interpret(null, press("g"));
  expect(first).toEqual({ command: null, prefix: "g" });
  expect(interpret(first.prefix, press("a"))).toEqual({ command: "actors", prefix: null });
  expect(interpret(first.prefix, press("j"))).toEqual({ command: "jobs", prefix: null });
  expect(interpret(first.prefix, press("o"))).toEqual({ command: "overview", prefix: null });
});

test("a key that completes no chord has its own command", () => {
  expect(interpret("g", press("k"))).toEqual({ command: "up", prefix: null });
  expect(interpret("g", press("g"))).toEqual({ command: null, prefix: "g" });
  expect(interpret(null, press("a"))).toEqual({ command: null, prefix: null });
});

test("text fields keep their keys, apart from Escape", () => {
  expect(interpret(null, press("/", { typing: true })).command).toBeNull();
  expect(interpret("g", press("a", { typing: true })).command).toBeNull();
  expect(interpret(null, press("Escape", { typing: true })).command).toBe("close");
});

test("buttons keep Enter and Space", () => {
  expect(interpret(null, press(" ", { control: true })).command).toBeNull();
  expect(interpret(null, press("Enter", { control: true })).command).toBeNull();
  expect(interpret(null, press("j", { control: true })).command).toBe("down");
  expect(interpret(null, press(" ")).command).toBe("pause");
});

test("presses with a modifier belong to the browser", () => {
  expect(interpret("g", press("a", { modified: true }))).toEqual({ command: null, prefix: null });
});
