/** Live queries in components. */
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
    let kept;
    function state() {
        track?.();
        if (!watch) {
            kept = undefined;
            return SKIPPED;
        }
        const { current } = watch;
        if (!keepPrevious)
            return current;
        if (current.status !== "loading")
            kept = { watch, era: forge.era, state: current };
        // What was loaded for somebody else is not shown, nor for these very arguments: then it was forgotten on purpose.
        else if (kept && kept.watch !== watch && kept.era === forge.era && kept.state.data !== undefined) {
            const { data, updatedAt, version } = kept.state;
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
