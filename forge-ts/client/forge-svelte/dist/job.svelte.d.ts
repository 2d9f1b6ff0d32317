/** The hook that gives components the state of a job. */
import type { JobHandle, JobState, Result } from "@forge/client";
interface NoJob {
    readonly status: "none";
    readonly attempt: 0;
    readonly attemptsMax: 0;
    readonly progress: null;
    readonly message: null;
    readonly runAt: null;
    readonly createdAt: null;
    readonly finishedAt: null;
    readonly isStale: false;
    readonly isEnded: false;
    readonly result: undefined;
    readonly error: undefined;
}
interface JobCalls {
    /** Ends the job, unless it has ended. One that runs is cut within seconds. */
    cancel(): Promise<Result<void>>;
    /** Asks again after the status `unknown`. */
    retry(): void;
}
/** A job. Its properties are getters: a destructured property does not follow changes. */
export type LiveJob<Output, AppError = never> = JobState<Output, AppError> & JobCalls;
/** A job that there may not be yet; without one the status is `none`. */
export type OptionalJob<Output, AppError = never> = (JobState<Output, AppError> | NoJob) & JobCalls;
/**
 * Returns how far a job is, which follows it while the component is mounted.
 *
 * `handle` is what the mutation answered that dispatched the job, or a function that returns it and runs again whenever a reactive value
 * that it reads changes; without a handle nothing is followed.
 */
export declare function useJob<Output, AppError>(handle: JobHandle<Output, AppError>): LiveJob<Output, AppError>;
export declare function useJob<Output, AppError>(handle: () => JobHandle<Output, AppError> | undefined): OptionalJob<Output, AppError>;
export {};
