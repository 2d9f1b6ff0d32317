/** Mutations and actions in components. */
import { getForge } from "./context.js";
/** A mutation, to be called like a function. It goes on when the component is gone. */
export function useMutation(ref, options = {}) {
    const forge = getForge();
    return counted((args) => forge.mutate(ref, args, options));
}
/** An action, to be called like a function. */
export function useAction(ref) {
    const forge = getForge();
    return counted((args) => forge.call(ref, args, {}));
}
function counted(run) {
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
