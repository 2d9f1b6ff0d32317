/** Stores: values that change, and the listeners that are called after each change. */
/** Calls every listener. An error that one of them throws is reported as uncaught, and the next listener is called. */
export function notifyAll(listeners) {
    for (const listener of [...listeners])
        runGuarded(listener);
}
/** Runs `work` and returns whether it succeeded. An error of `work` is reported as uncaught, since no caller could handle it. */
export function runGuarded(work) {
    try {
        work();
        return true;
    }
    catch (error) {
        setTimeout(() => {
            throw error;
        });
        return false;
    }
}
