/** Mutations and actions in components. */

import type { ActionRef, MutateOptions, MutationRef, Params, Result } from "@forge/client";
import { getForge } from "./context.js";

export interface Call<Args, Output, AppError> {
  (...args: Params<Args>): Promise<Result<Output, AppError>>;
  /** Whether a call of it is under way. */
  readonly pending: boolean;
}

/** A mutation, to be called like a function. It goes on when the component is gone. */
export function useMutation<Args, Output, AppError>(
  ref: MutationRef<Args, Output, AppError>,
  options: MutateOptions<Args> = {},
): Call<Args, Output, AppError> {
  const forge = getForge();
  return counted((args) => forge.mutate(ref, args as Args, options));
}

/** An action, to be called like a function. */
export function useAction<Args, Output, AppError>(ref: ActionRef<Args, Output, AppError>): Call<Args, Output, AppError> {
  const forge = getForge();
  return counted((args) => forge.call(ref, args as Args, {}));
}

function counted<Args, Output, AppError>(
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
