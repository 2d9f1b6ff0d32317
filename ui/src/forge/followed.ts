/**
 * The client's descriptions of jobs and runs against those that are generated from the node's handlers: `npm run check` compiles this file,
 * and fails where they differ. Nothing imports it.
 */

import type { FollowedJob as ClientJob, FollowedWorkflow as ClientRun } from "@forge/client";
import type { FollowedJob, FollowedWorkflow } from "./api";

type Equal<One, Other> = [One] extends [Other] ? ([Other] extends [One] ? true : false) : false;

declare function holds<Condition extends true>(): Condition;

declare const job: FollowedJob;
declare const run: FollowedWorkflow;

export const known = (): unknown => [job satisfies ClientJob, run satisfies ClientRun];

export const same = (): void => {
  holds<Equal<keyof FollowedJob, keyof ClientJob>>();
  holds<Equal<FollowedJob["status"], ClientJob["status"]>>();
  holds<Equal<keyof FollowedWorkflow, keyof ClientRun>>();
  holds<Equal<FollowedWorkflow["status"], ClientRun["status"]>>();
};
