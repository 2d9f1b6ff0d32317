/** The state of the connection in components. */

import type { Connection } from "@forge/client";
import { createSubscriber } from "svelte/reactivity";
import { getForge } from "./context.js";

/** The connection. Its properties are getters, as those of `useLive`. */
export function useConnection(): Connection {
  const { connection } = getForge();
  const track = createSubscriber((update) => connection.subscribe(update));
  const now = (): Connection => {
    track();
    return connection.current;
  };
  return {
    get state() {
      return now().state;
    },
    get since() {
      return now().since;
    },
    get attempt() {
      return now().attempt;
    },
    get nextRetryAt() {
      return now().nextRetryAt;
    },
    get pendingMutations() {
      return now().pendingMutations;
    },
    get rttMs() {
      return now().rttMs;
    },
  };
}
