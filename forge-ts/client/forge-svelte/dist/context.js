/** The Svelte context that gives components the client of the application. */
import { getContext, hasContext, setContext } from "svelte";
const KEY = Symbol.for("@forge/svelte");
/** Gives the client to the components below this one. No component closes the client, so that it survives a hot reload. */
export const setForge = (forge) => setContext(KEY, forge);
/** Returns the client. Has to be called while a component is initialized. */
export function getForge() {
    if (!hasContext(KEY))
        throw new Error("no Forge client in this component tree: call setForge(createForge({ url: '/' })) in the root component");
    return getContext(KEY);
}
