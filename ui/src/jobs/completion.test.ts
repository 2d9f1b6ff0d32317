import { expect, test } from "vitest";
import { taken } from "../parts/completion";
import { completeJobs } from "./completion";

const VOCABULARY = {
  queues: ["default", "mail", "night shift"],
  handlers: [
    { name: "mail.send", queue: "mail" },
    { name: "mail.welcome", queue: "mail" },
    { name: "reports.build", queue: "default" },
  ],
  tenants: ["acme"],
};

/** The options at `|`. */
function options(text: string): string[] {
  return completeJobs(text.replace("|", ""), text.indexOf("|"), VOCABULARY).options.map((option) => option.text);
}

/** The text after the option `text` was taken at `|`. */
function after(text: string, option: string): string {
  const query = text.replace("|", "");
  const completion = completeJobs(query, text.indexOf("|"), VOCABULARY);
  const found = completion.options.find((one) => one.text.trim() === option);
  if (found === undefined) throw new Error(`${option} is not offered`);
  const { query: next, caret } = taken(query, completion, found);
  return `${next.slice(0, caret)}|${next.slice(caret)}`;
}

test("fields first", () => {
  expect(options("|")).toEqual(["status:", "wait:", "queue:", "handler:", "tenant:", "args."]);
  expect(options("queue:mail h|")).toEqual(["handler:"]);
  expect(after("queue:mail h| text", "handler:")).toBe("queue:mail handler:| text");
});

test("then values that exist", () => {
  expect(options("handler:send|")).toEqual(["handler:mail.send "]);
  expect(options("queue:|")).toEqual(["queue:default ", "queue:mail ", 'queue:"night shift" ']);
  expect(after("que|", "queue:")).toBe("queue:|");
  expect(after("queue:ni| text", 'queue:"night shift"')).toBe('queue:"night shift" |text');
  expect(options("tenant:a|")).toEqual(["tenant:acme "]);
});

test("several statuses", () => {
  expect(options("status:failed,d|")).toEqual(["status:failed,dead_letter "]);
  expect(options("status:failed,|")).not.toContain("status:failed,failed ");
});

test("nothing where the value is complete, or free", () => {
  expect(options("queue:mail|")).toEqual([]);
  expect(options("args.user:7|")).toEqual([]);
  expect(options("refused|")).toEqual([]);
});
