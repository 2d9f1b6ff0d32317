/** The hook that gives components the result of a live query. */

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
  /** Subscribes again after an error. */
  retry(): void;
}

/** A live query. Its properties are getters: a destructured property does not follow changes. */
export type Live<Output, AppError = never> = LiveState<Output, AppError> & Retry;
/** A live query whose arguments may be `"skip"`. */
export type SkippableLive<Output, AppError = never> = (LiveState<Output, AppError> | Skipped) & Retry;

export interface LiveOptions {
  /** Shows the result of the former arguments, as stale, while the result of the new ones loads. */
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
 * Returns the result of a query, which follows the database while the component is mounted.
 *
 * `args` is a function that runs again whenever a reactive value that it reads changes; `"skip"` subscribes nothing.
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
  let previous: { watch: Watch<Output, AppError>; sessionEpoch: number; state: State } | undefined;

  function state(): State {
    track?.();
    if (!watch) {
      previous = undefined;
      return SKIPPED;
    }
    const { current } = watch;
    if (!keepPrevious) return current;
    if (current.status !== "loading") previous = { watch, sessionEpoch: forge.sessionEpoch, state: current };
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
  return live as SkippableLive<Output, AppError>;
}
