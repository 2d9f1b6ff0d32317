/** What a call comes to: data, an error of the application with its type, or a failure of the system. A call never throws. */
/** Codes of the node (docs: error codes), and the two of the client: `OFFLINE` (it was never sent) and `CANCELLED`. */
export type SystemCode = "BAD_REQUEST" | "UNAUTHENTICATED" | "PERMISSION_DENIED" | "NOT_FOUND" | "METHOD_NOT_ALLOWED" | "CONFLICT" | "PAYLOAD_TOO_LARGE" | "UNSUPPORTED_MEDIA_TYPE" | "VALIDATION" | "INTERNAL" | "UNAVAILABLE" | "OVERLOADED" | "OUTCOME_UNKNOWN" | "TIMEOUT" | "OFFLINE" | "CANCELLED" | (string & {});
export interface SystemError {
    readonly code: SystemCode;
    readonly message: string;
    /** Finds the call in the node's log. */
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
/** The error object of the wire. */
export interface WireError {
    readonly code: string;
    readonly message: string;
    readonly details?: unknown;
    readonly traceId?: string;
    readonly retryAfterMs?: number;
}
/** What `unwrap` throws. */
export declare class ForgeError<AppError = unknown> extends Error {
    readonly failure: Failure<AppError>;
    readonly name = "ForgeError";
    constructor(failure: Failure<AppError>);
}
/** The data, or a thrown `ForgeError`. */
export declare function unwrap<Output, AppError>(result: Result<Output, AppError>): Output;
/** A failure that the client itself found, or that the wire told. */
export declare function failure<AppError>(codes: readonly string[], error: WireError, traceId: string): Failure<AppError>;
