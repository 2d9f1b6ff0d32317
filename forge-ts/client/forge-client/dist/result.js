/** The result of a call: data, a typed error of the application, or a failure of the system. A call never throws. */
/** The error that `unwrap` throws. */
export class ForgeError extends Error {
    failure;
    name = "ForgeError";
    constructor(failure) {
        super(failure.kind === "app" ? failure.message : `${failure.system.code}: ${failure.system.message}`);
        this.failure = failure;
    }
}
/** Returns the data of `result`, or throws its failure as a `ForgeError`. */
export function unwrap(result) {
    if (result.ok)
        return result.data;
    throw new ForgeError(result.error);
}
/** Builds a failure from an error of the node or of this client. `codes` are the own error codes of the handler that was called. */
export function failure(codes, error, traceId) {
    const { code, message, details = null, retryAfterMs } = error;
    const trace = error.traceId ?? traceId;
    const built = codes.includes(code)
        ? { kind: "app", app: { code, message, details }, message, traceId: trace }
        : {
            kind: "system",
            system: { code, message, traceId: trace, ...(details !== null && { details }), ...(retryAfterMs !== undefined && { retryAfterMs }) },
        };
    // A code in `codes` marks an error of the handler; `codes` and `AppError` were generated from the same source, so they agree.
    return built;
}
