import { expect, test } from "vitest";
import { quoted, term, termsOf, withTerms } from "../parts/terms";
import { GRAMMAR, readQuery } from "./query";

const NONE = { statuses: [], wait: null, queue: null, handler: null, args: [], tenant: null, text: null };

test("fields, arguments and text", () => {
  const { filter, problems } = readQuery("queue:mail status:failed,dead_letter handler:mail.send args.user:7 args.to.city:Berlin connection refused");
  expect(filter).toEqual({
    ...NONE,
    statuses: ["failed", "dead_letter"],
    queue: "mail",
    handler: "mail.send",
    args: [
      { path: "user", value: "7" },
      { path: "to.city", value: "Berlin" },
    ],
    text: "connection refused",
  });
  expect(problems).toEqual([]);
});

test("a value with blanks is in quotes, also while it is being typed", () => {
  expect(readQuery('tenant:"a b" "x \\"y\\""').filter).toEqual({ ...NONE, tenant: "a b", text: 'x "y"' });
  expect(readQuery('queue:"night shi').filter.queue).toBe("night shi");
  expect(term("queue", "night shift")).toBe('queue:"night shift"');
  expect(readQuery(`x${quoted('say "no" \\ twice')}`).filter.text).toBe('xsay "no" \\ twice');
});

test("what has no meaning is said, and the rest holds", () => {
  const { filter, problems } = readQuery("status:dead,failed wait:long queu:mail queue:");
  expect(filter).toEqual({ ...NONE, statuses: ["failed"], text: "queu:mail" });
  expect(problems).toHaveLength(4);
  expect(readQuery("INTERNAL: relation http://x").problems).toEqual([]);
  expect(readQuery("queue:a queue:b")).toMatchObject({ filter: { queue: "b" }, problems: ["“queue” is there twice: the last one counts"] });
});

test("terms know where they are", () => {
  expect(termsOf(' queue:mail  "a b"', GRAMMAR)).toEqual([
    { start: 1, end: 11, key: "queue", value: "mail" },
    { start: 13, end: 18, key: null, value: "a b" },
  ]);
});

test("a tab replaces what was chosen before, and keeps the rest as it was written", () => {
  expect(withTerms('queue:mail status:failed "a  b"', GRAMMAR, ["status", "wait"], "wait:due")).toBe('wait:due queue:mail "a  b"');
  expect(withTerms("status:failed", GRAMMAR, ["status", "wait"], "")).toBe("");
});
