// Crashes: the handler that crashed, and a crash as text for a bug report.

import type { RecordedCrash } from "../forge/api";

/** Kinds of handlers, which run under an actor but are not actors. */
const HANDLERS: ReadonlySet<string> = new Set(["query", "mutation", "action", "job"]);

/** Wire name of the handler that crashed, for example `tasks.create`; null when an actor crashed, which has a row in the actor table. */
export function handlerOf(crash: Pick<RecordedCrash, "kind" | "path">): string | null {
  return HANDLERS.has(crash.kind) ? (crash.path.split("/").at(-1) ?? crash.path) : null;
}

export function crashText(crash: RecordedCrash): string {
  const message = crash.message === null ? null : `while handling ${crash.message}`;
  const lines = [crash.cause, `${crash.path} (${crash.kind}) on ${crash.node}`, message, `at ${crash.at}`, crash.backtrace];
  return lines.filter((line) => line !== null).join("\n");
}
