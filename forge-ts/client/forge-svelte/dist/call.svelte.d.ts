/** Mutations and actions in components. */
import type { ActionRef, MutateOptions, MutationRef, Params, Result } from "@forge/client";
export interface Call<Args, Output, AppError> {
    (...args: Params<Args>): Promise<Result<Output, AppError>>;
    /** Whether a call of it is under way. */
    readonly pending: boolean;
}
/** A mutation, to be called like a function. It goes on when the component is gone. */
export declare function useMutation<Args, Output, AppError>(ref: MutationRef<Args, Output, AppError>, options?: MutateOptions<Args>): Call<Args, Output, AppError>;
/** An action, to be called like a function. */
export declare function useAction<Args, Output, AppError>(ref: ActionRef<Args, Output, AppError>): Call<Args, Output, AppError>;
