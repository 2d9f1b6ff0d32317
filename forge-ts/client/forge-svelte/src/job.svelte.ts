/** The hook that gives components the state of a job. */

import type { JobHandle, JobState, JobWatch } from "@forge/client";
import { createSubscriber } from "svelte/reactivity";
import { getForge } from "./context.js";

/** What is known of a job before there is one: as little as while it loads. */
type NoJob = Omit<Extract<JobState<never>, { status: "loading" }>, "status"> & { readonly status: "none" };
type JobCalls = Pick<JobWatch<unknown>, "cancel" | "retry">;

/** A job. Its properties are getters: a destructured property does not follow changes. */
export type LiveJob<Output, AppError = never> = JobState<Output, AppError> & JobCalls;
/** A job that there may not be yet; without one the status is `none`. */
export type OptionalJob<Output, AppError = never> = (JobState<Output, AppError> | NoJob) & JobCalls;

const NONE: NoJob = {
  status: "none",
  attempt: 0,
  attemptsMax: 0,
  progress: null,
  message: null,
  runAt: null,
  createdAt: null,
  finishedAt: null,
  isStale: false,
  isEnded: false,
  result: undefined,
  error: undefined,
};

/**
 * Returns how far a job is, which follows it while the component is mounted.
 *
 * `handle` is what the mutation answered that dispatched the job, or a function that returns it and runs again whenever a reactive value
 * that it reads changes; without a handle nothing is followed.
 */
export function useJob<Output, AppError>(handle: JobHandle<Output, AppError>): LiveJob<Output, AppError>;
export function useJob<Output, AppError>(handle: () => JobHandle<Output, AppError> | undefined): OptionalJob<Output, AppError>;
export function useJob<Output, AppError>(
  handle: JobHandle<Output, AppError> | (() => JobHandle<Output, AppError> | undefined),
): OptionalJob<Output, AppError> {
  const forge = getForge();
  const watch: JobWatch<Output, AppError> | undefined = $derived.by(() => {
    const now = typeof handle === "function" ? handle() : handle;
    return now === undefined ? undefined : forge.job(now);
  });
  const track = $derived.by(() => {
    const now = watch;
    return now && createSubscriber((update) => now.subscribe(update));
  });
  const state = (): JobState<Output, AppError> | NoJob => {
    track?.();
    return watch?.current ?? NONE;
  };
  const job = {
    get status() {
      return state().status;
    },
    get attempt() {
      return state().attempt;
    },
    get attemptsMax() {
      return state().attemptsMax;
    },
    get progress() {
      return state().progress;
    },
    get message() {
      return state().message;
    },
    get runAt() {
      return state().runAt;
    },
    get createdAt() {
      return state().createdAt;
    },
    get finishedAt() {
      return state().finishedAt;
    },
    get isStale() {
      return state().isStale;
    },
    get isEnded() {
      return state().isEnded;
    },
    get result() {
      return state().result;
    },
    get error() {
      return state().error;
    },
    cancel: async () => watch?.cancel() ?? ({ ok: true, data: undefined } as const),
    retry: () => watch?.retry(),
  };
  // Each getter reads the same state, so together they are one of its variants.
  return job as OptionalJob<Output, AppError>;
}
