// What can be written next into the filter of jobs.

import { FIELDS, STATUSES, WAITS, quoted } from "./query";

/** What exists: the values that are offered. */
export type Vocabulary = {
  readonly queues: readonly string[];
  readonly handlers: readonly { readonly name: string; readonly queue: string }[];
  readonly tenants: readonly string[];
};

/** One of the things that can be written; `text` replaces the range of the completion. */
export type Option = { readonly text: string; readonly hint: string };
export type Completion = { readonly start: number; readonly end: number; readonly options: readonly Option[] };

const OPTIONS_MAX = 10;

const HINTS: Readonly<Record<(typeof FIELDS)[number], string>> = {
  status: "any of these statuses: failed,dead_letter",
  wait: "due, scheduled or blocked",
  queue: "the queue",
  handler: "the handler",
  tenant: "the tenant that the job runs for",
};

/** The completion of `query` at the caret; without options when there is nothing to offer. */
export function complete(query: string, caret: number, vocabulary: Vocabulary): Completion {
  const start = query.slice(0, caret).search(/(?:"[^"]*"?|[^\s"])*$/);
  const typed = query.slice(start, caret);
  const rest = /^[^\s"]*/.exec(query.slice(caret))?.[0].length ?? 0;
  const range = { start, end: caret + rest };
  const field = FIELDS.find((name) => typed.startsWith(`${name}:`));
  if (field === undefined) return { ...range, options: typed.includes(":") ? [] : fields(typed) };
  const value = typed.slice(field.length + 1);
  const options = valuesOf(field, value, vocabulary).map(({ text, hint }) => ({ text: `${field}:${text} `, hint }));
  // The only thing to offer is there already.
  if (options.length === 1 && options[0]?.text.trimEnd() === typed) return { ...range, options: [] };
  return { ...range, options: options.slice(0, OPTIONS_MAX) };
}

/** The text of the filter after `option` was taken, and where the caret is then. */
export function taken(query: string, { start, end }: Completion, option: Option): { readonly query: string; readonly caret: number } {
  const rest = query.slice(end).replace(/^ /, option.text.endsWith(" ") ? "" : " ");
  return { query: query.slice(0, start) + option.text + rest, caret: start + option.text.length };
}

function fields(typed: string): readonly Option[] {
  const all = [...FIELDS.map((name) => ({ text: `${name}:`, hint: HINTS[name] })), { text: "args.", hint: "an argument: args.user:7, args.to.city:Berlin" }];
  return all.filter(({ text }) => text.startsWith(typed) && text !== typed);
}

function valuesOf(field: (typeof FIELDS)[number], value: string, vocabulary: Vocabulary): readonly Option[] {
  const plain = value.replaceAll('"', "").toLowerCase();
  const matching = (options: readonly { name: string; hint: string }[]): Option[] =>
    options.filter(({ name }) => name.toLowerCase().includes(plain)).map(({ name, hint }) => ({ text: quoted(name), hint }));
  const words = (names: readonly string[]) => names.map((name) => ({ name, hint: "" }));
  switch (field) {
    case "status": {
      const chosen = value.split(",").slice(0, -1);
      const last = value.split(",").at(-1) ?? "";
      const left = STATUSES.filter((status) => !chosen.includes(status) && status.startsWith(last));
      return left.map((status) => ({ text: [...chosen, status].join(","), hint: "" }));
    }
    case "wait":
      return matching(words(WAITS));
    case "queue":
      return matching(words(vocabulary.queues));
    case "handler":
      return matching(vocabulary.handlers.map(({ name, queue }) => ({ name, hint: `queue ${queue}` })));
    case "tenant":
      return matching(words(vocabulary.tenants));
  }
}
