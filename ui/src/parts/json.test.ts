import { expect, test } from "vitest";
import { indented } from "./json";

test("members have lines of their own, and numbers keep all of their digits", () => {
  expect(indented('{"id":12345678901234567890,"of":[1.50,{"a":null}],"none":{},"empty":[]}')).toBe(
    '{\n  "id": 12345678901234567890,\n  "of": [\n    1.50,\n    {\n      "a": null\n    }\n  ],\n  "none": {},\n  "empty": []\n}',
  );
});

test("strings are kept as they are", () => {
  const text = String.raw`{"a":"{\"x\": [1,2]}","b":"\\","c":" \n "}`;
  expect(indented(text)).toBe(String.raw`{
  "a": "{\"x\": [1,2]}",
  "b": "\\",
  "c": " \n "
}`);
});

test("what is no JSON is shown as it is", () => {
  expect(indented("{a: 1}")).toBe("{a: 1}");
  expect(indented(" 7 ")).toBe("7");
});
