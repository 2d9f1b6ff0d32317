/** The result of a call: data, a typed error of the application, or a failure of the system. A call never throws. */
/** Error codes of the node (docs: error codes), and two of the client: `OFFLINE` (the request was never sent) and `CANCELLED`. */
export type SystemCode = "BAD_REQUEST" | "UNAUTHENTICATED" | "PERMISSION_DENIED" | "NOT_FOUND" | "METHOD_NOT_ALLOWED" | "CONFLICT" | "PAYLOAD_TOO_LARGE" | "UNSUPPORTED_MEDIA_TYPE" | "VALIDATION" | "INTERNAL" | "UNAVAILABLE" | "OVERLOADED" | "OUTCOME_UNKNOWN" | "TIMEOUT" | "VERSION_MISMATCH" | "ALREADY_DONE" | "OFFLINE" | "CANCELLED" | (string & {});
export interface SystemError {
    readonly code: SystemCode;
    readonly message: string;
    /** The id under which the node logged the call. */
    readonly traceId: string;
    readonly retryAfterMs?: number;
    readonly details?: unknown;
}
export type Failure<AppError = never> = ([AppError] extends [never] ? never : {
    readonly kind: "app";
    readonly app: AppError;
    readonly message: string;
    readonly traceId: string;
}) | {
    readonly kind: "system";
    readonly system: SystemError;
};
export type Result<Output, AppError = never> = {
    readonly ok: true;
    readonly data: Output;
} | {
    readonly ok: false;
    readonly error: Failure<AppError>;
};
/** An error as the node sends it. */
export interface WireError {
    readonly code: string;
    readonly message: string;
    readonly details?: unknown;
    readonly traceId?: string;
    readonly retryAfterMs?: number;
}
/** The error that `unwrap` throws. */
export declare class ForgeError<AppError = unknown> extends Error {
    readonly failure: Failure<AppError>;
    readonly name = "ForgeError";
    constructor(failure: Failure<AppError>);
}
/** Returns the data of `result`, or throws its failure as a `ForgeError`. */
export declare function unwrap<Output, AppError>(result: Result<Output, AppError>): Output;
/** Builds a failure from an error of the node or of this client. `codes` are the own error codes of the handler that was called. */
export declare function failure<AppError>(codes: readonly string[], error: WireError, traceId: string): Failure<AppError>;
