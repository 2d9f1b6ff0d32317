/** The hook that gives components the result of a live query. */
import { createSubscriber } from "svelte/reactivity";
import { getForge } from "./context.js";
const SKIPPED = {
    status: "skipped",
    data: undefined,
    error: undefined,
    isLoading: false,
    isStale: false,
    updatedAt: undefined,
    version: undefined,
};
export function useLive(ref, args, { keepPrevious = false } = {}) {
    const forge = getForge();
    const open = forge.watch;
    const watch = $derived.by(() => {
        const now = args?.();
        return now === "skip" ? undefined : open(ref, now);
    });
    // Equal arguments give the same watch, and the same watch stays subscribed.
    const track = $derived.by(() => {
        const now = watch;
        return now && createSubscriber((update) => now.subscribe(update));
    });
    let previous;
    function state() {
        track?.();
        if (!watch) {
            previous = undefined;
            return SKIPPED;
        }
        const { current } = watch;
        if (!keepPrevious)
            return current;
        if (current.status !== "loading")
            previous = { watch, sessionEpoch: forge.sessionEpoch, state: current };
        // Not the result of another user, nor an earlier result of the same arguments: the client dropped that one on purpose.
        else if (previous && previous.watch !== watch && previous.sessionEpoch === forge.sessionEpoch && previous.state.data !== undefined) {
            const { data, updatedAt, version } = previous.state;
            return { status: "stale", data, error: undefined, isLoading: false, isStale: true, updatedAt, version };
        }
        return current;
    }
    const live = {
        get status() {
            return state().status;
        },
        get data() {
            return state().data;
        },
        get error() {
            return state().error;
        },
        get isLoading() {
            return state().isLoading;
        },
        get isStale() {
            return state().isStale;
        },
        get updatedAt() {
            return state().updatedAt;
        },
        get version() {
            return state().version;
        },
        retry: () => watch?.retry(),
    };
    // Each getter reads the same state, so together they are one of its variants.
    return live;
}
