// Crashes for people: whose they are, and as text for a report.

import type { RecordedCrash } from "../forge/api";

/** Kinds of handlers: they run under an actor, but are none. */
const HANDLERS: ReadonlySet<string> = new Set(["query", "mutation", "action", "job"]);

/** What crashed has no row in the table of actors: it is named by its handler, `tasks.create`. */
export function handlerOf(crash: Pick<RecordedCrash, "kind" | "path">): string | null {
  return HANDLERS.has(crash.kind) ? (crash.path.split("/").at(-1) ?? crash.path) : null;
}

export function crashText(crash: RecordedCrash): string {
  const message = crash.message === null ? null : `while handling ${crash.message}`;
  const lines = [crash.cause, `${crash.path} (${crash.kind}) on ${crash.node}`, message, `at ${crash.at}`, crash.backtrace];
  return lines.filter((line) => line !== null).join("\n");
}
