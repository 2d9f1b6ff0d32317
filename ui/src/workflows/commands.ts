// Commands for single runs, and the messages about what became of them.

import type { Failure, Forge, Result } from "@forge/client";
import { type WorkflowAction, type WorkflowChange, type WorkflowRow, api } from "../forge/api";
import { reportOf } from "../parts/report";
import { toasts } from "../parts/toasts.svelte";
import { navigation } from "../shell/navigation.svelte";
import { DEFAULT_ROUTE } from "../shell/route";
import { ACTIONS } from "./run";

type Named = Pick<WorkflowRow, "id" | "workflow">;

/** Does something to a run, and says what became of it. `reason` is that of a cancellation or a termination. Returns whether it was done. */
export async function act(forge: Forge, action: WorkflowAction, { id, workflow }: Named, reason: string | null): Promise<boolean> {
  return said(await sent(forge, action, id, reason), `${workflow} was not ${ACTIONS[action].done}`) !== null;
}

/** Shows what a command has done, or why it was refused. Returns the answer; null when it was refused. */
export function said(answer: Result<WorkflowChange>, refused: string): WorkflowChange | null {
  if (!answer.ok) return refuse(answer.error, refused);
  const { run, message } = answer.data;
  toasts.show("ok", `${run.workflow}: ${message}`);
  return answer.data;
}

/** Opens the page of a run, without a filter of the list. */
export function open(id: WorkflowRow["id"]): void {
  navigation.go({ ...DEFAULT_ROUTE, page: "workflows", run: id });
}

function sent(forge: Forge, action: WorkflowAction, id: Named["id"], reason: string | null): Promise<Result<WorkflowChange>> {
  switch (action) {
    case "retry":
      return forge.mutate(api.forge.retryWorkflow, { id });
    case "resume":
      return forge.mutate(api.forge.resumeWorkflow, { id });
    case "pause":
      return forge.mutate(api.forge.pauseWorkflow, { id });
    case "cancel":
      return forge.mutate(api.forge.cancelWorkflow, { id, reason });
    case "terminate":
      return forge.mutate(api.forge.terminateWorkflow, { id, reason });
  }
}

function refuse(error: Failure, refused: string): null {
  const report = reportOf(error);
  toasts.show("bad", `${refused}: ${report.message}`, report.traceId);
  return null;
}
