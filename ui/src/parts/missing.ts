// Addresses that name what is not there.

import type { Failure } from "@forge/client";
import { reportOf } from "./report";

/** Whether what an address names is not there: it is gone, or the link was cut or mistyped, so that it names no id at all. */
export function isMissing(failure: Failure | undefined): boolean {
  const code = failure === undefined ? null : reportOf(failure).code;
  return code === "NOT_FOUND" || code === "VALIDATION" || code === "BAD_REQUEST";
}
