export { createForge, type Forge, type ForgeOptions, type MutateOptions } from "./forge.js";
export type { CallOptions } from "./http.js";
export type { FollowedJob, JobHandle, JobState, JobWatch } from "./jobs.js";
export type { Connection, ConnectionState } from "./link.js";
export { isTemporary, type LiveState, type LocalStore, type Watch } from "./queries.js";
export { action, mutation, query, type ActionRef, type AnyRef, type MutationRef, type Params, type QueryRef } from "./ref.js";
export { ForgeError, unwrap, type Failure, type Result, type SystemCode, type SystemError } from "./result.js";
export type { Store } from "./store.js";
export type { GetToken } from "./tokens.js";
