/** The hook that gives components the state of a run of a workflow. */

import type { WorkflowHandle, WorkflowState } from "@forge/client";
import { useFollowed, type FollowedCalls } from "./followed.svelte.js";

/** What is known of a run before there is one: as little as while it loads. */
type NoWorkflow = Omit<Extract<WorkflowState<never>, { status: "loading" }>, "status"> & { readonly status: "none" };

/** A run of a workflow. Its properties are getters: a destructured property does not follow changes. */
export type LiveWorkflow<Output, AppError = never> = WorkflowState<Output, AppError> & FollowedCalls;
/** A run that there may not be yet; without one the status is `none`. */
export type OptionalWorkflow<Output, AppError = never> = (WorkflowState<Output, AppError> | NoWorkflow) & FollowedCalls;

const NONE: NoWorkflow = {
  status: "none",
  published: null,
  dueAt: null,
  createdAt: null,
  finishedAt: null,
  isStale: false,
  isEnded: false,
  result: undefined,
  error: undefined,
};

/**
 * Returns how far a run of a workflow is, which follows it while the component is mounted.
 *
 * `handle` is what the mutation answered that started the run, or a function that returns it and runs again whenever a reactive value that
 * it reads changes; without a handle nothing is followed.
 */
export function useWorkflow<Output, AppError>(handle: WorkflowHandle<Output, AppError>): LiveWorkflow<Output, AppError>;
export function useWorkflow<Output, AppError>(
  handle: () => WorkflowHandle<Output, AppError> | undefined,
): OptionalWorkflow<Output, AppError>;
export function useWorkflow<Output, AppError>(
  handle: WorkflowHandle<Output, AppError> | (() => WorkflowHandle<Output, AppError> | undefined),
): OptionalWorkflow<Output, AppError> {
  return useFollowed<WorkflowHandle<Output, AppError>, WorkflowState<Output, AppError>, NoWorkflow>(
    handle,
    (forge, now) => forge.workflow(now),
    NONE,
  );
}
