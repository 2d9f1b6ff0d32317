/**
 * Jobs: a handle names a job that this client has dispatched, and carries the types of what comes of it. Following the job is a live query
 * of the node's own function `forge.jobStatus`; its result becomes a `JobState`.
 */
import { mutation, query } from "./ref.js";
import { failure } from "./result.js";
export const jobStatus = query("forge.jobStatus");
export const cancelMyJob = mutation("forge.cancelMyJob");
const NO_FACTS = {
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
const date = (text) => (text === null ? null : new Date(text));
/** The state of a job, from the state of its live query. */
export function jobState(live) {
    const { data } = live;
    if (!data) {
        return live.error
            ? { ...NO_FACTS, status: "unknown", error: live.error, isEnded: false }
            : { ...NO_FACTS, status: "loading", error: undefined, isEnded: false };
    }
    const facts = {
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
            const error = failure(wire.isOwn ? [wire.code] : [], wire, data.id);
            return { ...facts, status: data.status, result: undefined, error, isEnded: true };
        }
        default:
            return { ...facts, status: data.status, result: undefined, error: undefined, isEnded: false };
    }
}
/** Follows a job by its live query. */
export function watchJob(watch, cancel) {
    let seen;
    let state;
    return {
        get current() {
            const live = watch.current;
            if (!state || live !== seen)
                state = jobState(live);
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
