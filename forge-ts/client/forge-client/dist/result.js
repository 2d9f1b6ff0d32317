/** What a call comes to: data, an error of the application with its type, or a failure of the system. A call never throws. */
/** What `unwrap` throws. */
export class ForgeError extends Error {
    failure;
    name = "ForgeError";
    constructor(failure) {
        super(failure.kind === "app" ? failure.message : `${failure.system.code}: ${failure.system.message}`);
        this.failure = failure;
    }
}
/** The data, or a thrown `ForgeError`. */
export function unwrap(result) {
    if (result.ok)
        return result.data;
    throw new ForgeError(result.error);
}
/** A failure that the client itself found, or that the wire told. */
export function failure(codes, error, traceId) {
    const { code, message, details = null, retryAfterMs } = error;
    const trace = error.traceId ?? traceId;
    const told = codes.includes(code)
        ? { kind: "app", app: { code, message, details }, message, traceId: trace }
        : {
            kind: "system",
            system: { code, message, traceId: trace, ...(details !== null && { details }), ...(retryAfterMs !== undefined && { retryAfterMs }) },
        };
    // The codes say that the error is one of the handler's own; what it looks like was generated from the same source as they.
    return told;
}
