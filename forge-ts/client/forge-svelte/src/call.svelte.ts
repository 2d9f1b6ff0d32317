/** Hooks that call mutations and actions in components. */

import type { ActionRef, MutateOptions, MutationRef, Params, Result } from "@forge/client";
import { getForge } from "./context.js";

export interface Call<Args, Output, AppError> {
  (...args: Params<Args>): Promise<Result<Output, AppError>>;
  /** Whether a call is running. */
  readonly pending: boolean;
}

/** Returns a function that runs the mutation. A running mutation goes on when the component is unmounted. */
export function useMutation<Args, Output, AppError>(
  ref: MutationRef<Args, Output, AppError>,
  options: MutateOptions<Args> = {},
): Call<Args, Output, AppError> {
  const forge = getForge();
  return withPending((args) => forge.mutate(ref, args as Args, options));
}

/** Returns a function that calls the action. */
export function useAction<Args, Output, AppError>(ref: ActionRef<Args, Output, AppError>): Call<Args, Output, AppError> {
  const forge = getForge();
  return withPending((args) => forge.call(ref, args as Args, {}));
}

function withPending<Args, Output, AppError>(
  run: (args: Args | undefined) => Promise<Result<Output, AppError>>,
): Call<Args, Output, AppError> {
  let running = $state(0);
  const call = async (...[args]: Params<Args>) => {
    running += 1;
    try {
      return await run(args);
    } finally {
      running -= 1;
    }
  };
  return Object.defineProperty(call, "pending", { get: () => running > 0 }) as Call<Args, Output, AppError>;
}
