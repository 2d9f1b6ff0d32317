/** What jobs and runs of workflows share: a live query of how far one is becomes its state, and `cancel` ends it. */

import type { LiveState, Watch } from "./queries.js";
import { failure, type Result } from "./result.js";
import type { Store } from "./store.js";

/** Why a job or a run has ended without success, as the node says it. */
export interface WireFailure {
  code: string;
  message: string;
  details: unknown;
  isOwn: boolean;
}

/** A job or a run: `current` follows it while the watch has a listener. */
export interface FollowedWatch<State> extends Store<State> {
  /** Ends it, unless it has ended. */
  cancel(): Promise<Result<void>>;
  /** Asks again after the status `unknown`. */
  retry(): void;
}

/** What the node says of jobs and of runs alike. */
export interface Followed {
  id: string;
  status: string;
  result: unknown;
  failure: WireFailure | null;
}

const FAILED = ["failed", "dead_letter", "cancelled", "terminated"];

/**
 * The state of a job or a run, from the state of its live query. `none` holds the facts of its kind as they are before the node has answered;
 * those whose names end with `At` are times.
 */
function followedState<Wire extends Followed>(live: LiveState<Wire>, none: object): object {
  const { data, error } = live;
  if (!data) return { ...none, status: error ? "unknown" : "loading", isStale: false, result: undefined, error, isEnded: false };
  const { id, status, result } = data;
  const isCompleted = status === "completed";
  const hasFailed = FAILED.includes(status);
  const wire = data.failure ?? { code: "INTERNAL", message: "it failed", details: null, isOwn: false };
  const facts = Object.keys(none).map((name) => {
    const fact = data[name as keyof Wire];
    return [name, fact !== null && name.endsWith("At") ? new Date(fact as string) : fact];
  });
  return {
    ...Object.fromEntries(facts),
    status,
    isStale: live.isStale,
    result: isCompleted ? result : undefined,
    // The node logs what it executes under the id of the job or the run.
    error: hasFailed ? failure<unknown>(wire.isOwn ? [wire.code] : [], wire, id) : undefined,
    isEnded: isCompleted || hasFailed,
  };
}

/** Follows a job or a run by its live query. `none`: as in `followedState`. */
export function watchFollowed<Wire extends Followed>(
  watch: Watch<Wire>,
  none: object,
  cancel: () => Promise<Result<Wire>>,
): FollowedWatch<object> {
  let seen: LiveState<Wire> | undefined;
  let state: object | undefined;
  return {
    get current() {
      const live = watch.current;
      if (!state || live !== seen) state = followedState(live, none);
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
