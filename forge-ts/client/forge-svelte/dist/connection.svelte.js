/** The hook that gives components the state of the connection. */
import { createSubscriber } from "svelte/reactivity";
import { getForge } from "./context.js";
/** Returns the connection. Its properties are getters: a destructured property does not follow changes. */
export function useConnection() {
    const { connection } = getForge();
    const track = createSubscriber((update) => connection.subscribe(update));
    const current = () => {
        track();
        return connection.current;
    };
    return {
        get state() {
            return current().state;
        },
        get since() {
            return current().since;
        },
        get attempt() {
            return current().attempt;
        },
        get nextRetryAt() {
            return current().nextRetryAt;
        },
        get pendingMutations() {
            return current().pendingMutations;
        },
        get rttMs() {
            return current().rttMs;
        },
    };
}
