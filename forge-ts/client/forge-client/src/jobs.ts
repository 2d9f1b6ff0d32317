/**
 * Jobs: a handle names a job that this client has dispatched, and carries the types of what comes of it. Following the job is a live query
 * of the node's own function `forge.jobStatus`; its result becomes a `JobState`.
 */

import type { FollowedWatch, WireFailure } from "./followed.js";
import { mutation, query } from "./ref.js";
import type { Failure } from "./result.js";

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
  failure: WireFailure | null;
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

/** A job: `current` follows it while the watch has a listener. A job that runs is cut within seconds of `cancel`. */
export type JobWatch<Output, AppError = never> = FollowedWatch<JobState<Output, AppError>>;

export const jobStatus = query<{ id: string }, FollowedJob>("forge.jobStatus");
export const cancelMyJob = mutation<{ id: string }, FollowedJob>("forge.cancelMyJob");

/** What is known of a job before the node has answered. */
export const NO_JOB = { attempt: 0, attemptsMax: 0, progress: null, message: null, runAt: null, createdAt: null, finishedAt: null };
