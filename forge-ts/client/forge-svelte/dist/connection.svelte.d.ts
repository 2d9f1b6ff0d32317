/** The hook that gives components the state of the connection. */
import type { Connection } from "@forge/client";
/** Returns the connection. Its properties are getters: a destructured property does not follow changes. */
export declare function useConnection(): Connection;
