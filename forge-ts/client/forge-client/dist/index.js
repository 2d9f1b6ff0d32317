export { createForge } from "./forge.js";
export { isTemporary } from "./queries.js";
export { action, mutation, query } from "./ref.js";
export { ForgeError, unwrap } from "./result.js";
