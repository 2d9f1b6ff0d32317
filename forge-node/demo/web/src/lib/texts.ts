/** Labels and error texts of the page. */

import type { Failure } from "@forge/client";

import type { ProjectError, Status, TaskError, UserError } from "../forge/api";

export const STATUSES: readonly Status[] = ["open", "doing", "done"];
export const STATUS_LABELS: Record<Status, string> = { open: "Open", doing: "Doing", done: "Done" };

/** The text of a failed call, as the user sees it. */
export function errorText(failure: Failure<ProjectError | TaskError | UserError>): string {
  if (failure.kind === "system") {
    const { code, message, details, traceId } = failure.system;
    switch (code) {
      case "VALIDATION":
        return fieldErrors(details) ?? message;
      case "OFFLINE":
        return "You are offline; nothing was sent.";
      case "OUTCOME_UNKNOWN":
        return "The connection broke. The change may have been made: please check.";
      case "UNAUTHENTICATED":
        return "Please sign in again.";
      case "OVERLOADED":
      case "UNAVAILABLE":
        return "The server is busy. Please try again in a moment.";
      default:
        return `${message} (${traceId.slice(0, 8)})`;
    }
  }
  const { app } = failure;
  switch (app.code) {
    case "LIMIT_REACHED":
      return `A project holds at most ${app.details.max} tasks that are not done.`;
    case "TOO_MANY_TRIES":
      return `Too many wrong passwords for this account. Please try again in ${app.details.seconds} s.`;
    case "NO_SUCH_USER":
      return `Nobody has signed up as ${app.details.email} yet.`;
    case "EMAIL_TAKEN":
    case "SIGN_IN_FAILED":
    case "UNKNOWN_USER":
    case "OWNER_ONLY":
    case "NOT_A_MEMBER":
    case "PROJECT_NOT_FOUND":
    case "TASK_NOT_FOUND":
      return failure.message;
    default:
      return app satisfies never;
  }
}

/** The messages of refused arguments (`details.fields`) as one line. */
function fieldErrors(details: unknown): string | undefined {
  if (typeof details !== "object" || details === null || !("fields" in details) || !Array.isArray(details.fields)) return undefined;
  return details.fields.map(({ field, message }: { field: string; message: string }) => `${field} ${message}`).join("; ");
}
