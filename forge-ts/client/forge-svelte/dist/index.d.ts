export { useAction, useMutation, type Call } from "./call.svelte.js";
export { useConnection } from "./connection.svelte.js";
export { default as ConnectionBadge } from "./ConnectionBadge.svelte";
export { getForge, setForge } from "./context.js";
export { useJob, type LiveJob, type OptionalJob } from "./job.svelte.js";
export { useLive, type Live, type LiveOptions, type SkippableLive } from "./live.svelte.js";
export { useWorkflow, type LiveWorkflow, type OptionalWorkflow } from "./workflow.svelte.js";
