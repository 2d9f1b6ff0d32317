/** The state of the connection in components. */
import type { Connection } from "@forge/client";
/** The connection. Its properties are getters, as those of `useLive`. */
export declare function useConnection(): Connection;
