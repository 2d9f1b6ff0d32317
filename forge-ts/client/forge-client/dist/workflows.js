/**
 * Runs of workflows: a handle names a run that this client has started, and carries the types of what comes of it. Following the run is a
 * live query of the node's own function `forge.workflowStatus`; its result becomes a `WorkflowState`.
 */
import { mutation, query } from "./ref.js";
export const workflowStatus = query("forge.workflowStatus");
export const cancelMyWorkflow = mutation("forge.cancelMyWorkflow");
/** What is known of a run before the node has answered. */
export const NO_RUN = { published: null, dueAt: null, createdAt: null, finishedAt: null };
