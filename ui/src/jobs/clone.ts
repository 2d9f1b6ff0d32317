// What a person changes of a job that is dispatched again.

import type { JobRow } from "../forge/api";
import { isJson } from "../parts/json";

/** The fields of the dialog, as they are typed. `runAt` is the value of a field of the type `datetime-local`; empty means at once. */
export type CloneForm = { readonly args: string; readonly queue: string; readonly priority: string; readonly runAt: string };

export type CloneArgs = { readonly args: string; readonly queue: string | null; readonly priority: number | null; readonly runAt: string | null };

/** The arguments of the call, or what is wrong with the form. What is as in the original is left to the node. */
export function readForm(form: CloneForm, original: Pick<JobRow, "queue" | "priority">): CloneArgs | string {
  if (!isJson(form.args)) return "The arguments are no JSON.";
  const priority = Number(form.priority);
  if (form.priority.trim() === "" || !Number.isInteger(priority) || priority < 0 || priority > 100) return "The priority is a whole number from 0 to 100.";
  const queue = form.queue.trim();
  if (queue === "") return "The queue has no name.";
  const runAt = form.runAt === "" ? null : new Date(form.runAt);
  if (runAt !== null && Number.isNaN(runAt.getTime())) return "The time is not complete.";
  return {
    args: form.args,
    queue: queue === original.queue ? null : queue,
    priority: priority === original.priority ? null : priority,
    runAt: runAt?.toISOString() ?? null,
  };
}
