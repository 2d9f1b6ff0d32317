/** The hook that gives components the state of a job. */
import { useFollowed } from "./followed.svelte.js";
const NONE = {
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
export function useJob(handle) {
    return useFollowed(handle, (forge, now) => forge.job(now), NONE);
}
