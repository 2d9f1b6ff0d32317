// Failures of calls as pages show them: the message, and the trace id by which the log of the node can be searched.

import type { Failure } from "@forge/client";

export type Report = { readonly code: string; readonly message: string; readonly traceId: string };

/** The report of a failed call. The `forge.*` handlers declare no error codes, so that each of their failures is a system error. */
export function reportOf(failure: Failure): Report {
  const { code, message, traceId } = failure.system;
  return { code, message, traceId };
}
