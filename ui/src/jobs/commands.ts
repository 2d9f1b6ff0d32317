// Commands for single jobs, and the messages about what became of them.

import type { Forge } from "@forge/client";
import { type JobAction, type JobRow, api } from "../forge/api";
import { reportOf } from "../parts/report";
import { toasts } from "../parts/toasts.svelte";
import { ACTIONS } from "./job";

const CALLS = { retry: api.forge.retryJob, cancel: api.forge.cancelJob, discard: api.forge.discardJob };

/** Sends a command for one job. Returns why it was refused; null when it was not. */
export async function send(forge: Forge, action: JobAction, job: Pick<JobRow, "id">): Promise<{ readonly message: string; readonly traceId: string } | null> {
  const answer = await forge.mutate(CALLS[action], { id: job.id });
  return answer.ok ? null : reportOf(answer.error);
}

/** Sends a command for one job, and says what became of it. */
export async function sendAndSay(forge: Forge, action: JobAction, job: Pick<JobRow, "id" | "name">): Promise<void> {
  const refusal = await send(forge, action, job);
  if (refusal === null) toasts.show("ok", `${job.name} is ${ACTIONS[action].done}`);
  else toasts.show("bad", `${job.name} was not ${ACTIONS[action].done}: ${refusal.message}`, refusal.traceId);
}
