/** Hooks that call mutations and actions in components. */
import type { ActionRef, MutateOptions, MutationRef, Params, Result } from "@forge/client";
export interface Call<Args, Output, AppError> {
    (...args: Params<Args>): Promise<Result<Output, AppError>>;
    /** Whether a call is running. */
    readonly pending: boolean;
}
/** Returns a function that runs the mutation. A running mutation goes on when the component is unmounted. */
export declare function useMutation<Args, Output, AppError>(ref: MutationRef<Args, Output, AppError>, options?: MutateOptions<Args>): Call<Args, Output, AppError>;
/** Returns a function that calls the action. */
export declare function useAction<Args, Output, AppError>(ref: ActionRef<Args, Output, AppError>): Call<Args, Output, AppError>;
