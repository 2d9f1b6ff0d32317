/** The hook that gives components the result of a live query. */
import type { LiveState, QueryRef } from "@forge/client";
interface Skipped {
    readonly status: "skipped";
    readonly data: undefined;
    readonly error: undefined;
    readonly isLoading: false;
    readonly isStale: false;
    readonly updatedAt: undefined;
    readonly version: undefined;
}
interface Retry {
    /** Subscribes again after an error. */
    retry(): void;
}
/** A live query. Its properties are getters: a destructured property does not follow changes. */
export type Live<Output, AppError = never> = LiveState<Output, AppError> & Retry;
/** A live query whose arguments may be `"skip"`. */
export type SkippableLive<Output, AppError = never> = (LiveState<Output, AppError> | Skipped) & Retry;
export interface LiveOptions {
    /** Shows the result of the former arguments, as stale, while the result of the new ones loads. */
    keepPrevious?: boolean;
}
type Rest<Args, Given> = {} extends Args ? [args?: () => Given, options?: LiveOptions] : [args: () => Given, options?: LiveOptions];
/**
 * Returns the result of a query, which follows the database while the component is mounted.
 *
 * `args` is a function that runs again whenever a reactive value that it reads changes; `"skip"` subscribes nothing.
 */
export declare function useLive<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, ...rest: Rest<Args, NoInfer<Args>>): Live<Output, AppError>;
export declare function useLive<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, ...rest: Rest<Args, NoInfer<Args> | "skip">): SkippableLive<Output, AppError>;
export {};
