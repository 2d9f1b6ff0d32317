/** Labels and error texts of the page. */

import type { Failure } from "@forge/client";

import type { InvitationError, InvitationStatus, ProjectError, Status, TaskError, Term, UserError } from "../forge/api";

export const STATUSES: readonly Status[] = ["open", "doing", "done"];
export const STATUS_LABELS: Record<Status, string> = { open: "Open", doing: "Doing", done: "Done" };

export const TERMS: readonly Term[] = ["minute", "day", "week"];
export const TERM_LABELS: Record<Term, string> = { minute: "1 minute", day: "1 day", week: "7 days" };

export const INVITATION_LABELS: Record<InvitationStatus, string> = {
  sending: "The mail is on its way",
  waiting: "Waiting",
  accepted: "Accepted",
  joined: "Joined",
  declined: "Declined",
  withdrawn: "Withdrawn",
  expired: "Expired",
};

/** Whether the workflow of an invitation with this status still runs. */
export const isOpen = (status: InvitationStatus): boolean => status === "sending" || status === "waiting" || status === "accepted";

/** The text of a failed call, as the user sees it. */
export function errorText(failure: Failure<InvitationError | ProjectError | TaskError | UserError>): string {
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
    case "ALREADY_A_MEMBER":
      return `${app.details.email} is a member of this project already.`;
    case "INVITATION_CLOSED":
      return `The invitation is not open any more: ${INVITATION_LABELS[app.details.status].toLowerCase()}.`;
    case "INVITATION_NOT_FOUND":
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
