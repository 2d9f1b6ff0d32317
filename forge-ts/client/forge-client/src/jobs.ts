/**
 * Jobs: a handle names a job that this client has dispatched, and carries the types of what comes of it. Following the job is a live query
 * of the node's own function `forge.jobStatus`; its result becomes a `JobState`.
 */

import type { LiveState, Watch } from "./queries.js";
import { mutation, query } from "./ref.js";
import { failure, type Failure, type Result } from "./result.js";
import type { Store } from "./store.js";

declare const outcome: unique symbol;

/** A job that a mutation or an action has dispatched: its id, with the types of the job's result and of its handler's own errors. */
export type JobHandle<Output, AppError = never> = string & {
  readonly __brand: "JobHandle";
  /** Never set: it carries the types for the compiler. */
  readonly [outcome]?: [Output, AppError];
};

/** A job as the node describes it. */
export interface FollowedJob {
  id: string;
  status: "pending" | "claimed" | "running" | "completed" | "retry" | "failed" | "dead_letter" | "cancelled";
  attempt: number;
  attemptsMax: number;
  runAt: string | null;
  progress: number | null;
  message: string | null;
  result: unknown;
  failure: { code: string; message: string; details: unknown; isOwn: boolean } | null;
  createdAt: string;
  finishedAt: string | null;
}

/** What is known of every job. */
interface JobFacts {
  /** The attempt that runs, or ran last; 0 before the first one. */
  readonly attempt: number;
  readonly attemptsMax: number;
  /** From 0 to 1, as the job's handler has reported; `null` when it has not. */
  readonly progress: number | null;
  /** What the job does now, as its handler has reported. */
  readonly message: string | null;
  /** When a job that waits may run. */
  readonly runAt: Date | null;
  readonly createdAt: Date;
  readonly finishedAt: Date | null;
  /** The node has not confirmed this state, because there is no connection. */
  readonly isStale: boolean;
}

interface NoFacts {
  readonly attempt: 0;
  readonly attemptsMax: 0;
  readonly progress: null;
  readonly message: null;
  readonly runAt: null;
  readonly createdAt: null;
  readonly finishedAt: null;
  readonly isStale: false;
  readonly result: undefined;
}

/** How far a job is. `unknown`: the node cannot say, and `error` says why; there may be no such job for this user. */
export type JobState<Output, AppError = never> =
  | (NoFacts & { readonly status: "loading"; readonly error: undefined; readonly isEnded: false })
  | (NoFacts & { readonly status: "unknown"; readonly error: Failure; readonly isEnded: false })
  | (JobFacts & {
      readonly status: "pending" | "claimed" | "running" | "retry";
      readonly result: undefined;
      readonly error: undefined;
      readonly isEnded: false;
    })
  | (JobFacts & { readonly status: "completed"; readonly result: Output; readonly error: undefined; readonly isEnded: true })
  | (JobFacts & {
      readonly status: "failed" | "dead_letter" | "cancelled";
      readonly result: undefined;
      readonly error: Failure<AppError>;
      readonly isEnded: true;
    });

/** A job: `current` follows it while the watch has a listener. */
export interface JobWatch<Output, AppError = never> extends Store<JobState<Output, AppError>> {
  /** Ends the job, unless it has ended. One that runs is cut within seconds. */
  cancel(): Promise<Result<void>>;
  /** Asks again after the status `unknown`. */
  retry(): void;
}

export const jobStatus = query<{ id: string }, FollowedJob>("forge.jobStatus");
export const cancelMyJob = mutation<{ id: string }, FollowedJob>("forge.cancelMyJob");

const NO_FACTS: NoFacts = {
  attempt: 0,
  attemptsMax: 0,
  progress: null,
  message: null,
  runAt: null,
  createdAt: null,
  finishedAt: null,
  isStale: false,
  result: undefined,
};

const date = (text: string | null): Date | null => (text === null ? null : new Date(text));

/** The state of a job, from the state of its live query. */
export function jobState(live: LiveState<FollowedJob>): JobState<unknown, unknown> {
  const { data } = live;
  if (!data) {
    return live.error
      ? { ...NO_FACTS, status: "unknown", error: live.error, isEnded: false }
      : { ...NO_FACTS, status: "loading", error: undefined, isEnded: false };
  }
  const facts: JobFacts = {
    attempt: data.attempt,
    attemptsMax: data.attemptsMax,
    progress: data.progress,
    message: data.message,
    runAt: date(data.runAt),
    createdAt: new Date(data.createdAt),
    finishedAt: date(data.finishedAt),
    isStale: live.isStale,
  };
  switch (data.status) {
    case "completed":
      return { ...facts, status: data.status, result: data.result, error: undefined, isEnded: true };
    case "failed":
    case "dead_letter":
    case "cancelled": {
      const wire = data.failure ?? { code: "INTERNAL", message: "the job failed", details: null, isOwn: false };
      // Attempts are logged under the id of their job.
      const error = failure<unknown>(wire.isOwn ? [wire.code] : [], wire, data.id);
      return { ...facts, status: data.status, result: undefined, error, isEnded: true };
    }
    default:
      return { ...facts, status: data.status, result: undefined, error: undefined, isEnded: false };
  }
}

/** Follows a job by its live query. */
export function watchJob(watch: Watch<FollowedJob>, cancel: () => Promise<Result<FollowedJob>>): JobWatch<unknown, unknown> {
  let seen: LiveState<FollowedJob> | undefined;
  let state: JobState<unknown, unknown> | undefined;
  return {
    get current() {
      const live = watch.current;
      if (!state || live !== seen) state = jobState(live);
      seen = live;
      return state;
    },
    subscribe: (listener) => watch.subscribe(listener),
    retry: () => watch.retry(),
    cancel: async () => {
      const result = await cancel();
      return result.ok ? { ok: true, data: undefined } : result;
    },
  };
}
