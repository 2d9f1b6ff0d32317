/** What jobs and runs of workflows share: a live query of how far one is becomes its state, and `cancel` ends it. */
import { failure } from "./result.js";
const FAILED = ["failed", "dead_letter", "cancelled", "terminated"];
/**
 * The state of a job or a run, from the state of its live query. `none` holds the facts of its kind as they are before the node has answered;
 * those whose names end with `At` are times.
 */
function followedState(live, none) {
    const { data, error } = live;
    if (!data)
        return { ...none, status: error ? "unknown" : "loading", isStale: false, result: undefined, error, isEnded: false };
    const { id, status, result } = data;
    const isCompleted = status === "completed";
    const hasFailed = FAILED.includes(status);
    const wire = data.failure ?? { code: "INTERNAL", message: "it failed", details: null, isOwn: false };
    const facts = Object.keys(none).map((name) => {
        const fact = data[name];
        return [name, fact !== null && name.endsWith("At") ? new Date(fact) : fact];
    });
    return {
        ...Object.fromEntries(facts),
        status,
        isStale: live.isStale,
        result: isCompleted ? result : undefined,
        // The node logs what it executes under the id of the job or the run.
        error: hasFailed ? failure(wire.isOwn ? [wire.code] : [], wire, id) : undefined,
        isEnded: isCompleted || hasFailed,
    };
}
/** Follows a job or a run by its live query. `none`: as in `followedState`. */
export function watchFollowed(watch, none, cancel) {
    let seen;
    let state;
    return {
        get current() {
            const live = watch.current;
            if (!state || live !== seen)
                state = followedState(live, none);
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
