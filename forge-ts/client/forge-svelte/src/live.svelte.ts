/** Live queries in components. */

import type { LiveState, QueryRef, Watch } from "@forge/client";
import { createSubscriber } from "svelte/reactivity";
import { getForge } from "./context.js";

interface Skipped {
  readonly status: "skipped";
  readonly data: undefined;
  readonly error: undefined;
  readonly isLoading: false;
  readonly isStale: false;
  readonly updatedAt: undefined;
  readonly version: undefined;
}

interface Retry {
  /** Asks again, after an error. */
  retry(): void;
}

/** A live query. Its properties are getters: read them where they are used, a destructured one does not follow. */
export type Live<Output, AppError = never> = LiveState<Output, AppError> & Retry;
/** A live query whose arguments may be `"skip"`. */
export type SkippableLive<Output, AppError = never> = (LiveState<Output, AppError> | Skipped) & Retry;

export interface LiveOptions {
  /** While the result for other arguments loads, goes on showing the one before, as stale. */
  keepPrevious?: boolean;
}

type Rest<Args, Given> = {} extends Args
  ? [args?: () => Given, options?: LiveOptions]
  : [args: () => Given, options?: LiveOptions];

const SKIPPED: Skipped = {
  status: "skipped",
  data: undefined,
  error: undefined,
  isLoading: false,
  isStale: false,
  updatedAt: undefined,
  version: undefined,
};

/**
 * The result of a query, which follows the database while the component shows it.
 *
 * `args` is a function, so that it is asked again whenever what it reads changes; `"skip"` means that there is nothing to ask yet.
 */
export function useLive<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, ...rest: Rest<Args, NoInfer<Args>>): Live<Output, AppError>;
export function useLive<Args, Output, AppError>(
  ref: QueryRef<Args, Output, AppError>,
  ...rest: Rest<Args, NoInfer<Args> | "skip">
): SkippableLive<Output, AppError>;
export function useLive<Args, Output, AppError>(
  ref: QueryRef<Args, Output, AppError>,
  args?: () => Args | "skip",
  { keepPrevious = false }: LiveOptions = {},
): SkippableLive<Output, AppError> {
  type State = LiveState<Output, AppError> | Skipped;
  const forge = getForge();
  const open = forge.watch as (ref: QueryRef<Args, Output, AppError>, args: Args | undefined) => Watch<Output, AppError>;
  const watch = $derived.by(() => {
    const now = args?.();
    return now === "skip" ? undefined : open(ref, now);
  });
  // Equal arguments give the same watch, and the same watch stays subscribed.
  const track = $derived.by(() => {
    const now = watch;
    return now && createSubscriber((update) => now.subscribe(update));
  });
  let kept: { watch: Watch<Output, AppError>; era: number; state: State } | undefined;

  function state(): State {
    track?.();
    if (!watch) {
      kept = undefined;
      return SKIPPED;
    }
    const { current } = watch;
    if (!keepPrevious) return current;
    if (current.status !== "loading") kept = { watch, era: forge.era, state: current };
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
  return live as SkippableLive<Output, AppError>;
}
