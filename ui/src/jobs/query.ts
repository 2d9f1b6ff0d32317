// The language of the filter of jobs: `queue:mail status:failed,dead_letter handler:mail.send args.user:7 some text`.
// A value with blanks is in quotes. What names no field is text.

import type { JobFilter, JobStatus, JobWait } from "../forge/api";

/** Every status, in the order of a job's life. */
export const STATUSES: readonly JobStatus[] = ["pending", "claimed", "running", "retry", "completed", "failed", "dead_letter", "cancelled"];
export const WAITS: readonly JobWait[] = ["due", "scheduled", "blocked"];

/** The fields of the language; those of arguments begin with `args.`. */
export const FIELDS = ["status", "wait", "queue", "handler", "tenant"] as const;
type Field = (typeof FIELDS)[number];
const ARGUMENT = "args.";

/** A part of a filter as it was written, from `start` to before `end`. */
export type Term = { readonly start: number; readonly end: number; readonly key: string | null; readonly value: string };

/** A filter as the functions take it, and what in its text has no meaning. */
export type ReadQuery = { readonly filter: WholeFilter; readonly problems: readonly string[] };
type WholeFilter = { readonly [Key in keyof JobFilter]-?: Exclude<JobFilter[Key], undefined> };

/** The terms of a filter's text. */
export function termsOf(query: string): readonly Term[] {
  const terms: Term[] = [];
  for (const { 0: text, index: start } of query.matchAll(/(?:"(?:[^"\\]|\\.)*"?|[^\s"])+/gs)) {
    const colon = /^([a-z_]+|args\.[^\s":]+):/s.exec(text);
    const key = colon?.[1] ?? null;
    const value = unquoted(key === null ? text : text.slice(key.length + 1));
    terms.push(key === null || isField(key) ? { start, end: start + text.length, key, value } : { start, end: start + text.length, key: null, value: unquoted(text) });
  }
  return terms;
}

/** Reads a filter's text. */
export function readQuery(query: string): ReadQuery {
  const problems: string[] = [];
  const one: Partial<Record<Field, string>> = {};
  const args: { path: string; value: string }[] = [];
  const words: string[] = [];
  for (const { key, value } of termsOf(query)) {
    if (key === null) {
      const named = /^([a-z_]+):./.exec(value)?.[1];
      if (named !== undefined && !value.includes(" ") && !value.includes("://")) problems.push(`“${named}” is no field, so “${value}” is searched for as a text`);
      words.push(value);
    } else if (value === "") problems.push(`“${key}:” has no value yet`);
    else if (key.startsWith(ARGUMENT)) args.push({ path: key.slice(ARGUMENT.length), value });
    else if (isOne(key)) {
      if (one[key] !== undefined) problems.push(`“${key}” is there twice: the last one counts`);
      one[key] = value;
    }
  }
  const statuses = (one.status ?? "").split(",").filter((word) => word !== "");
  for (const word of statuses) if (!isStatus(word)) problems.push(`“${word}” is no status: there are ${STATUSES.join(", ")}`);
  const wait = WAITS.find((known) => known === one.wait) ?? null;
  if (one.wait !== undefined && wait === null) problems.push(`“${one.wait}” is not a wait: use ${WAITS.join(", ")}`);
  const filter = {
    statuses: statuses.filter(isStatus),
    wait,
    queue: one.queue ?? null,
    handler: one.handler ?? null,
    args,
    tenant: one.tenant ?? null,
    text: words.join(" ") || null,
  };
  return { filter, problems };
}

/** `query` with other terms in place of those of `keys`. */
export function withTerms(query: string, keys: readonly Field[], terms: string): string {
  const kept = termsOf(query).filter(({ key }) => !keys.some((replaced) => replaced === key));
  return [terms, ...kept.map(({ start, end }) => query.slice(start, end))].filter((text) => text !== "").join(" ");
}

/** The term of a field, with quotes where its value needs them. */
export function term(field: Field, value: string): string {
  return `${field}:${quoted(value)}`;
}

/** A value as it is written in a filter. */
export function quoted(value: string): string {
  return /^[^\s"]+$/.test(value) ? value : `"${value.replaceAll(/["\\]/g, "\\$&")}"`;
}

function unquoted(text: string): string {
  return text.replaceAll(/"((?:[^"\\]|\\.)*)"?/gs, (_, inside: string) => inside.replaceAll(/\\(.)/gs, "$1"));
}

function isField(key: string): boolean {
  return key.startsWith(ARGUMENT) || isOne(key);
}

function isOne(key: string): key is Field {
  return FIELDS.some((field) => field === key);
}

function isStatus(word: string): word is JobStatus {
  return STATUSES.some((status) => status === word);
}
