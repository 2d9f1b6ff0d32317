// A crash as text, for a report.

import type { RecordedCrash } from "../forge/api";

export function crashText(crash: RecordedCrash): string {
  const message = crash.message === null ? null : `while handling ${crash.message}`;
  const lines = [crash.cause, `${crash.path} (${crash.kind}) on ${crash.node}`, message, `at ${crash.at}`, crash.backtrace];
  return lines.filter((line) => line !== null).join("\n");
}
