/** What jobs and runs of workflows share: a live query of how far one is becomes its state, and `cancel` ends it. */
import type { Watch } from "./queries.js";
import { type Result } from "./result.js";
import type { Store } from "./store.js";
/** Why a job or a run has ended without success, as the node says it. */
export interface WireFailure {
    code: string;
    message: string;
    details: unknown;
    isOwn: boolean;
}
/** A job or a run: `current` follows it while the watch has a listener. */
export interface FollowedWatch<State> extends Store<State> {
    /** Ends it, unless it has ended. */
    cancel(): Promise<Result<void>>;
    /** Asks again after the status `unknown`. */
    retry(): void;
}
/** What the node says of jobs and of runs alike. */
export interface Followed {
    id: string;
    status: string;
    result: unknown;
    failure: WireFailure | null;
}
/** Follows a job or a run by its live query. `none`: as in `followedState`. */
export declare function watchFollowed<Wire extends Followed>(watch: Watch<Wire>, none: object, cancel: () => Promise<Result<Wire>>): FollowedWatch<object>;
