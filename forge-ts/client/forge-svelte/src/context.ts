/** The client of an application, handed down the component tree. */

import { getContext, hasContext, setContext } from "svelte";
import type { Forge } from "@forge/client";

const KEY = Symbol.for("@forge/svelte");

/** Gives the client to this component's children. It belongs to the application: no component closes it, so that a hot reload keeps it. */
export const setForge = (forge: Forge): Forge => setContext(KEY, forge);

/** The client; called while a component is set up. */
export function getForge(): Forge {
  if (!hasContext(KEY)) throw new Error("there is no Forge client here: call setForge(createForge({ url: '/' })) in the root component");
  return getContext<Forge>(KEY);
}
