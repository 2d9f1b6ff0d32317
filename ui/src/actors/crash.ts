// A crash as text, for a report.

import type { ActorCrash } from "../forge/api";

export function crashText(crash: ActorCrash): string {
  const message = crash.message === null ? null : `while handling ${crash.message}`;
  const lines = [crash.cause, crash.location, message, `at ${crash.at}`, crash.backtrace];
  return lines.filter((line) => line !== null).join("\n");
}
