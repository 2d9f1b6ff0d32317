/** The hook that gives components the state of a run of a workflow. */
import { useFollowed } from "./followed.svelte.js";
const NONE = {
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
export function useWorkflow(handle) {
    return useFollowed(handle, (forge, now) => forge.workflow(now), NONE);
}
