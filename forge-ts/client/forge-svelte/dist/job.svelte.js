/** The hook that gives components the state of a job. */
import { createSubscriber } from "svelte/reactivity";
import { getForge } from "./context.js";
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
    const forge = getForge();
    const watch = $derived.by(() => {
        const now = typeof handle === "function" ? handle() : handle;
        return now === undefined ? undefined : forge.job(now);
    });
    const track = $derived.by(() => {
        const now = watch;
        return now && createSubscriber((update) => now.subscribe(update));
    });
    const state = () => {
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
        cancel: async () => watch?.cancel() ?? { ok: true, data: undefined },
        retry: () => watch?.retry(),
    };
    // Each getter reads the same state, so together they are one of its variants.
    return job;
}
