/** What the hooks for jobs and for runs of workflows share. */

import type { FollowedWatch, Forge } from "@forge/client";
import { createSubscriber } from "svelte/reactivity";
import { getForge } from "./context.js";

/** What ends a job or a run, and what asks for it again. */
export type FollowedCalls = Pick<FollowedWatch<unknown>, "cancel" | "retry">;

/**
 * Returns getters of what `handle` names, one for each property of `none`, which stands for what is known without a handle. They follow it
 * while the component is mounted.
 */
export function useFollowed<Handle extends string, State extends object, None extends object>(
  handle: Handle | (() => Handle | undefined),
  watchOf: (forge: Forge, handle: Handle) => FollowedWatch<State>,
  none: None,
): (State | None) & FollowedCalls {
  const forge = getForge();
  const watch: FollowedWatch<State> | undefined = $derived.by(() => {
    const now = typeof handle === "function" ? handle() : handle;
    return now === undefined ? undefined : watchOf(forge, now);
  });
  const track = $derived.by(() => {
    const now = watch;
    return now && createSubscriber((update) => now.subscribe(update));
  });
  const state = (): State | None => {
    track?.();
    return watch?.current ?? none;
  };
  const followed = {
    cancel: async () => watch?.cancel() ?? ({ ok: true, data: undefined } as const),
    retry: () => watch?.retry(),
  };
  for (const name of Object.keys(none) as (keyof (State | None))[]) {
    Object.defineProperty(followed, name, { enumerable: true, get: () => state()[name] });
  }
  // Each getter reads the same state, so together they are one of its variants.
  return followed as (State | None) & FollowedCalls;
}
