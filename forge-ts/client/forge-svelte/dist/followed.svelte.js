/** What the hooks for jobs and for runs of workflows share. */
import { createSubscriber } from "svelte/reactivity";
import { getForge } from "./context.js";
/**
 * Returns getters of what `handle` names, one for each property of `none`, which stands for what is known without a handle. They follow it
 * while the component is mounted.
 */
export function useFollowed(handle, watchOf, none) {
    const forge = getForge();
    const watch = $derived.by(() => {
        const now = typeof handle === "function" ? handle() : handle;
        return now === undefined ? undefined : watchOf(forge, now);
    });
    const track = $derived.by(() => {
        const now = watch;
        return now && createSubscriber((update) => now.subscribe(update));
    });
    const state = () => {
        track?.();
        return watch?.current ?? none;
    };
    const followed = {
        cancel: async () => watch?.cancel() ?? { ok: true, data: undefined },
        retry: () => watch?.retry(),
    };
    for (const name of Object.keys(none)) {
        Object.defineProperty(followed, name, { enumerable: true, get: () => state()[name] });
    }
    // Each getter reads the same state, so together they are one of its variants.
    return followed;
}
