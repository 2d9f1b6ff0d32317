/** The client of an application, handed down the component tree. */
import type { Forge } from "@forge/client";
/** Gives the client to this component's children. It belongs to the application: no component closes it, so that a hot reload keeps it. */
export declare const setForge: (forge: Forge) => Forge;
/** The client; called while a component is set up. */
export declare function getForge(): Forge;
