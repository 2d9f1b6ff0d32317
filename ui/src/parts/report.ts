// A failure of a call, as a person needs it: what happened, and the id under which the node's log tells the rest.

import type { Failure } from "@forge/client";

export type Report = { readonly code: string; readonly message: string; readonly traceId: string };

/** None of the node's own functions has errors of its own, so that every failure is one of the system. */
export function reportOf(failure: Failure): Report {
  const { code, message, traceId } = failure.system;
  return { code, message, traceId };
}
