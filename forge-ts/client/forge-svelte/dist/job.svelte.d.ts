/** The hook that gives components the state of a job. */
import type { JobHandle, JobState } from "@forge/client";
import { type FollowedCalls } from "./followed.svelte.js";
/** What is known of a job before there is one: as little as while it loads. */
type NoJob = Omit<Extract<JobState<never>, {
    status: "loading";
}>, "status"> & {
    readonly status: "none";
};
/** A job. Its properties are getters: a destructured property does not follow changes. */
export type LiveJob<Output, AppError = never> = JobState<Output, AppError> & FollowedCalls;
/** A job that there may not be yet; without one the status is `none`. */
export type OptionalJob<Output, AppError = never> = (JobState<Output, AppError> | NoJob) & FollowedCalls;
/**
 * Returns how far a job is, which follows it while the component is mounted.
 *
 * `handle` is what the mutation answered that dispatched the job, or a function that returns it and runs again whenever a reactive value
 * that it reads changes; without a handle nothing is followed.
 */
export declare function useJob<Output, AppError>(handle: JobHandle<Output, AppError>): LiveJob<Output, AppError>;
export declare function useJob<Output, AppError>(handle: () => JobHandle<Output, AppError> | undefined): OptionalJob<Output, AppError>;
export {};
