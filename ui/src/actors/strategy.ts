// Names and meanings of the strategies of supervisors.

import type { Strategy } from "../forge/api";

export const STRATEGIES: Readonly<Record<Strategy, { readonly name: string; readonly means: string }>> = {
  oneForOne: { name: "one_for_one", means: "a child that crashes restarts alone" },
  oneForAll: { name: "one_for_all", means: "all children restart with the one that crashes" },
  restForOne: { name: "rest_for_one", means: "a child restarts with those that started after it" },
};
