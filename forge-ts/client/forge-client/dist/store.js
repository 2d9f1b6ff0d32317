/** A value that changes, and those who want to hear of it. */
/** Calls every listener, whatever one of them throws: the error is reported as an uncaught one is. */
export function tell(listeners) {
    for (const listener of [...listeners])
        guarded(listener);
}
/** Runs `work`; reports what it throws, since there is no caller who could handle it. */
export function guarded(work) {
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
