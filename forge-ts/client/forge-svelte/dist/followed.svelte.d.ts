/** What the hooks for jobs and for runs of workflows share. */
import type { FollowedWatch, Forge } from "@forge/client";
/** What ends a job or a run, and what asks for it again. */
export type FollowedCalls = Pick<FollowedWatch<unknown>, "cancel" | "retry">;
/**
 * Returns getters of what `handle` names, one for each property of `none`, which stands for what is known without a handle. They follow it
 * while the component is mounted.
 */
export declare function useFollowed<Handle extends string, State extends object, None extends object>(handle: Handle | (() => Handle | undefined), watchOf: (forge: Forge, handle: Handle) => FollowedWatch<State>, none: None): (State | None) & FollowedCalls;
