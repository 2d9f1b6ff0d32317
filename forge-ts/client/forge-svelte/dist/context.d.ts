/** The Svelte context that gives components the client of the application. */
import type { Forge } from "@forge/client";
/** Gives the client to the components below this one. No component closes the client, so that it survives a hot reload. */
export declare const setForge: (forge: Forge) => Forge;
/** Returns the client. Has to be called while a component is initialized. */
export declare function getForge(): Forge;
