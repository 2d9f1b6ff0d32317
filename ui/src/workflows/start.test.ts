import { describe, expect, test } from "vitest";
import type { ArgumentForm, StartableWorkflow } from "../forge/api";
import { problemOf, templateOf, versionOf } from "./start";

const form = (name: string, placeholder: string, isRequired = true): ArgumentForm => ({ name, doc: "", form: "text", isRequired, placeholder });

test("the arguments to begin with are an object with a line for each", () => {
  expect(templateOf([form("user", '""'), form("seats", "0"), form("note", "null", false)])).toBe('{\n  "user": "",\n  "seats": 0,\n  "note": null\n}');
  expect(templateOf([])).toBe("{}");
  expect(templateOf(null)).toBe("{}");
});

test("a start takes the newest version unless another one is chosen", () => {
  const version = (version: number, isDeprecated: boolean) => ({ version, isDeprecated, arguments: null, inputBytesMax: 1024 });
  const workflow: StartableWorkflow = { name: "flows.onboard", doc: "", newest: 2, versions: [version(1, true), version(2, false), version(3, true)] };
  expect(versionOf(workflow, "")?.version).toBe(2);
  expect(versionOf(workflow, "3")?.version).toBe(3);
  expect(versionOf({ ...workflow, newest: null }, "")).toBeUndefined();
  expect(versionOf(undefined, "")).toBeUndefined();
});

describe("what a start lacks is said before it is sent", () => {
  test.each([
    [{ workflow: "", args: "{}", key: "" }, "Choose a workflow."],
    [{ workflow: "a", args: "{", key: "" }, "The arguments are no JSON."],
    [{ workflow: "a", args: "[]", key: "" }, "The arguments are no JSON object."],
    [{ workflow: "a", args: "{}", key: "user-7" }, "The key is not JSON: put a text into double quotes."],
    [{ workflow: "a", args: ' {"user": 7}', key: '"user-7"' }, null],
    [{ workflow: "a", args: "{}", key: " " }, null],
  ])("%j", (fields, expected) => {
    expect(problemOf(fields)).toBe(expected);
  });
});
