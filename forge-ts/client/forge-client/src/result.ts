/** The result of a call: data, a typed error of the application, or a failure of the system. A call never throws. */

/** Error codes of the node (docs: error codes), and two of the client: `OFFLINE` (the request was never sent) and `CANCELLED`. */
export type SystemCode =
  | "BAD_REQUEST"
  | "UNAUTHENTICATED"
  | "PERMISSION_DENIED"
  | "NOT_FOUND"
  | "METHOD_NOT_ALLOWED"
  | "CONFLICT"
  | "PAYLOAD_TOO_LARGE"
  | "UNSUPPORTED_MEDIA_TYPE"
  | "VALIDATION"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "OVERLOADED"
  | "OUTCOME_UNKNOWN"
  | "TIMEOUT"
  | "VERSION_MISMATCH"
  | "ALREADY_DONE"
  | "OFFLINE"
  | "CANCELLED"
  | (string & {});

export interface SystemError {
  readonly code: SystemCode;
  readonly message: string;
  /** The id under which the node logged the call. */
  readonly traceId: string;
  readonly retryAfterMs?: number;
  readonly details?: unknown;
}

export type Failure<AppError = never> =
  | ([AppError] extends [never]
      ? never
      : { readonly kind: "app"; readonly app: AppError; readonly message: string; readonly traceId: string })
  | { readonly kind: "system"; readonly system: SystemError };

export type Result<Output, AppError = never> =
  | { readonly ok: true; readonly data: Output }
  | { readonly ok: false; readonly error: Failure<AppError> };

/** An error as the node sends it. */
export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly details?: unknown;
  readonly traceId?: string;
  readonly retryAfterMs?: number;
}

/** The error that `unwrap` throws. */
export class ForgeError<AppError = unknown> extends Error {
  override readonly name = "ForgeError";
  constructor(readonly failure: Failure<AppError>) {
    super(failure.kind === "app" ? failure.message : `${failure.system.code}: ${failure.system.message}`);
  }
}

/** Returns the data of `result`, or throws its failure as a `ForgeError`. */
export function unwrap<Output, AppError>(result: Result<Output, AppError>): Output {
  if (result.ok) return result.data;
  throw new ForgeError(result.error);
}

/** Builds a failure from an error of the node or of this client. `codes` are the own error codes of the handler that was called. */
export function failure<AppError>(codes: readonly string[], error: WireError, traceId: string): Failure<AppError> {
  const { code, message, details = null, retryAfterMs } = error;
  const trace = error.traceId ?? traceId;
  const built = codes.includes(code)
    ? { kind: "app", app: { code, message, details }, message, traceId: trace }
    : {
        kind: "system",
        system: { code, message, traceId: trace, ...(details !== null && { details }), ...(retryAfterMs !== undefined && { retryAfterMs }) },
      };
  // A code in `codes` marks an error of the handler; `codes` and `AppError` were generated from the same source, so they agree.
  return built as Failure<AppError>;
}
