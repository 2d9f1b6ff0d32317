/** Hooks that call mutations and actions in components. */
import { getForge } from "./context.js";
/** Returns a function that runs the mutation. A running mutation goes on when the component is unmounted. */
export function useMutation(ref, options = {}) {
    const forge = getForge();
    return withPending((args) => forge.mutate(ref, args, options));
}
/** Returns a function that calls the action. */
export function useAction(ref) {
    const forge = getForge();
    return withPending((args) => forge.call(ref, args, {}));
}
function withPending(run) {
    let running = $state(0);
    const call = async (...[args]) => {
        running += 1;
        try {
            return await run(args);
        }
        finally {
            running -= 1;
        }
    };
    return Object.defineProperty(call, "pending", { get: () => running > 0 });
}
