export { useAction, useMutation } from "./call.svelte.js";
export { useConnection } from "./connection.svelte.js";
export { default as ConnectionBadge } from "./ConnectionBadge.svelte";
export { getForge, setForge } from "./context.js";
export { useJob } from "./job.svelte.js";
export { useLive } from "./live.svelte.js";
export { useWorkflow } from "./workflow.svelte.js";
