/**
 * Runs of workflows: a handle names a run that this client has started, and carries the types of what comes of it. Following the run is a
 * live query of the node's own function `forge.workflowStatus`; its result becomes a `WorkflowState`.
 */
import type { FollowedWatch, WireFailure } from "./followed.js";
import type { Failure } from "./result.js";
declare const outcome: unique symbol;
/** A run that a mutation or an action has started: its id, with the types of its result and of its workflow's own errors. */
export type WorkflowHandle<Output, AppError = never> = string & {
    readonly __brand: "WorkflowHandle";
    /** Never set: it carries the types for the compiler. */
    readonly [outcome]?: [Output, AppError];
};
type OpenStatus = "ready" | "running" | "waiting" | "compensating" | "paused" | "diverged" | "compensation_failed";
type FailedStatus = "failed" | "cancelled" | "terminated";
/** A run as the node describes it. */
export interface FollowedWorkflow {
    id: string;
    /** The run that it is now: another one after it went on as a new run. */
    run: string;
    /** Never `continued`: the run that goes on is shown then. */
    status: OpenStatus | "completed" | FailedStatus | "continued";
    dueAt: string | null;
    published: unknown;
    result: unknown;
    failure: WireFailure | null;
    createdAt: string;
    finishedAt: string | null;
}
/** What is known of every run. */
interface RunFacts {
    /** What the workflow has published last with `ctx.publish`; `null` before that. */
    readonly published: unknown;
    /** When a run that waits goes on at the latest; `null` when that is open. */
    readonly dueAt: Date | null;
    readonly createdAt: Date;
    readonly finishedAt: Date | null;
    /** The node has not confirmed this state, because there is no connection. */
    readonly isStale: boolean;
}
interface NoFacts {
    readonly published: null;
    readonly dueAt: null;
    readonly createdAt: null;
    readonly finishedAt: null;
    readonly isStale: false;
    readonly result: undefined;
}
/** How far a run is. `unknown`: the node cannot say, and `error` says why; there may be no such run for this user. */
export type WorkflowState<Output, AppError = never> = (NoFacts & {
    readonly status: "loading";
    readonly error: undefined;
    readonly isEnded: false;
}) | (NoFacts & {
    readonly status: "unknown";
    readonly error: Failure;
    readonly isEnded: false;
}) | (RunFacts & {
    readonly status: OpenStatus;
    readonly result: undefined;
    readonly error: undefined;
    readonly isEnded: false;
}) | (RunFacts & {
    readonly status: "completed";
    readonly result: Output;
    readonly error: undefined;
    readonly isEnded: true;
}) | (RunFacts & {
    readonly status: FailedStatus;
    readonly result: undefined;
    readonly error: Failure<AppError>;
    readonly isEnded: true;
});
/** A run: `current` follows it while the watch has a listener. After `cancel` it takes back what it has completed, and then ends. */
export type WorkflowWatch<Output, AppError = never> = FollowedWatch<WorkflowState<Output, AppError>>;
export declare const workflowStatus: import("./ref.js").QueryRef<{
    id: string;
}, FollowedWorkflow, never>;
export declare const cancelMyWorkflow: import("./ref.js").MutationRef<{
    id: string;
}, FollowedWorkflow, never>;
/** What is known of a run before the node has answered. */
export declare const NO_RUN: {
    published: null;
    dueAt: null;
    createdAt: null;
    finishedAt: null;
};
export {};
