/**
 * Jobs: a handle names a job that this client has dispatched, and carries the types of what comes of it. Following the job is a live query
 * of the node's own function `forge.jobStatus`; its result becomes a `JobState`.
 */
import { mutation, query } from "./ref.js";
export const jobStatus = query("forge.jobStatus");
export const cancelMyJob = mutation("forge.cancelMyJob");
/** What is known of a job before the node has answered. */
export const NO_JOB = { attempt: 0, attemptsMax: 0, progress: null, message: null, runAt: null, createdAt: null, finishedAt: null };
