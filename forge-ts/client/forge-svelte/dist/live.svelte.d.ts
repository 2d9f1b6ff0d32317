/** Live queries in components. */
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
    /** Asks again, after an error. */
    retry(): void;
}
/** A live query. Its properties are getters: read them where they are used, a destructured one does not follow. */
export type Live<Output, AppError = never> = LiveState<Output, AppError> & Retry;
/** A live query whose arguments may be `"skip"`. */
export type SkippableLive<Output, AppError = never> = (LiveState<Output, AppError> | Skipped) & Retry;
export interface LiveOptions {
    /** While the result for other arguments loads, goes on showing the one before, as stale. */
    keepPrevious?: boolean;
}
type Rest<Args, Given> = {} extends Args ? [args?: () => Given, options?: LiveOptions] : [args: () => Given, options?: LiveOptions];
/**
 * The result of a query, which follows the database while the component shows it.
 *
 * `args` is a function, so that it is asked again whenever what it reads changes; `"skip"` means that there is nothing to ask yet.
 */
export declare function useLive<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, ...rest: Rest<Args, NoInfer<Args>>): Live<Output, AppError>;
export declare function useLive<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, ...rest: Rest<Args, NoInfer<Args> | "skip">): SkippableLive<Output, AppError>;
export {};
