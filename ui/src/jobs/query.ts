// The language of the filter of jobs: `queue:mail status:failed,dead_letter handler:mail.send args.user:7 some text`.
// A value with blanks is in quotes. What names no field is text.

import type { JobFilter, JobStatus, JobWait } from "../forge/api";
import { type Grammar, readTerms } from "../parts/terms";

/** Every status, in the order of a job's life. */
export const STATUSES: readonly JobStatus[] = ["pending", "claimed", "running", "retry", "completed", "failed", "dead_letter", "cancelled"];
export const WAITS: readonly JobWait[] = ["due", "scheduled", "blocked"];

/** The fields of the language; those of arguments begin with `args.`. */
export const FIELDS = ["status", "wait", "queue", "handler", "tenant"] as const;
export const GRAMMAR: Grammar<(typeof FIELDS)[number]> = { fields: FIELDS, prefix: "args." };

/** A filter as the functions take it, and what in its text has no meaning. */
export type ReadQuery = { readonly filter: WholeFilter; readonly problems: readonly string[] };
type WholeFilter = { readonly [Key in keyof JobFilter]-?: Exclude<JobFilter[Key], undefined> };

/** Reads a filter's text. */
export function readQuery(query: string): ReadQuery {
  const { one, named, text, problems } = readTerms(query, GRAMMAR);
  const statuses = (one.status ?? "").split(",").filter((word) => word !== "");
  for (const word of statuses) if (!isStatus(word)) problems.push(`“${word}” is no status: there are ${STATUSES.join(", ")}`);
  const wait = WAITS.find((known) => known === one.wait) ?? null;
  if (one.wait !== undefined && wait === null) problems.push(`“${one.wait}” is not a wait: use ${WAITS.join(", ")}`);
  const filter = {
    statuses: statuses.filter(isStatus),
    wait,
    queue: one.queue ?? null,
    handler: one.handler ?? null,
    args: named.map(({ name, value }) => ({ path: name, value })),
    tenant: one.tenant ?? null,
    text,
  };
  return { filter, problems };
}

function isStatus(word: string): word is JobStatus {
  return STATUSES.some((status) => status === word);
}
