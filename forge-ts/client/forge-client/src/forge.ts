/**
 * The client: one WebSocket connection for live queries and mutations, HTTP for single calls.
 *
 * The first `watch` or `mutate` opens the connection. A mutation waits while there is no connection and is sent again when the connection
 * broke; the node runs it once. `call` is one HTTP request, which is repeated only when its token was refused.
 */

import { watchFollowed, type Followed } from "./followed.js";
import type { ServerFrame } from "./frames.js";
import { Http, type AnyRequest, type CallOptions } from "./http.js";
import { cancelMyJob, jobStatus, NO_JOB, type JobHandle, type JobWatch } from "./jobs.js";
import { Link, type Connection, type ConnectionListener } from "./link.js";
import { Outbox } from "./outbox.js";
import { Queries, type LocalStore, type Watch } from "./queries.js";
import type { AnyRef, MutationRef, Params, QueryRef } from "./ref.js";
import { failure, type Result } from "./result.js";
import type { Store } from "./store.js";
import { Tokens, type GetToken } from "./tokens.js";
import { trace } from "./random.js";
import { cancelMyWorkflow, NO_RUN, workflowStatus, type WorkflowHandle, type WorkflowWatch } from "./workflows.js";

export interface ForgeOptions {
  /** Address of the node, relative to the page: `"/"` when the node serves the page. */
  url: string | URL;
  getToken?: GetToken;
  /** The `contract` of the generated `api.ts`. */
  contract?: string;
  /** Milliseconds for which a live query stays subscribed after its last listener left. */
  lingerMs?: number;
  fetch?: typeof globalThis.fetch;
  WebSocket?: typeof globalThis.WebSocket;
}

export interface MutateOptions<Args> {
  /** Shows the expected outcome until the node sends the real one. Runs again on each new result, so it must have no other effect. */
  optimistic?: (store: LocalStore, args: Args) => void;
}

export interface Forge {
  /** Calls a handler by one HTTP request. */
  call<Args, Output, AppError>(
    ref: AnyRef<Args, Output, AppError>,
    ...args: Params<Args, [options?: CallOptions]>
  ): Promise<Result<Output, AppError>>;
  /** Runs a mutation over the connection: in the order of the calls, sent until its outcome is known, run once. */
  mutate<Args, Output, AppError>(
    ref: MutationRef<Args, Output, AppError>,
    ...args: Params<Args, [options?: MutateOptions<Args>]>
  ): Promise<Result<Output, AppError>>;
  /** A live query, which is subscribed while it has a listener. */
  watch<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, ...args: Params<Args>): Watch<Output, AppError>;
  /** A job that this client has dispatched, which is followed while the watch has a listener. */
  job<Output, AppError>(handle: JobHandle<Output, AppError>): JobWatch<Output, AppError>;
  /** A run of a workflow that this client has started, which is followed while the watch has a listener. */
  workflow<Output, AppError>(handle: WorkflowHandle<Output, AppError>): WorkflowWatch<Output, AppError>;
  readonly connection: Store<Connection>;
  /** Grows whenever all data are dropped because another user signed in or the user signed out. */
  readonly sessionEpoch: number;
  /** Connects now instead of at the first live query or mutation. */
  connect(): void;
  /** Asks `getToken` for another token, because a user signed in, and sends it to the node. */
  authenticate(): void;
  /** Drops the token and all data, fails pending mutations, and signs out at the node. `getToken` is not called until `authenticate`. */
  signOut(): void;
  /** Closes the connection, stops timers, removes listeners, and fails mutations as `CANCELLED` or `OUTCOME_UNKNOWN`. */
  close(): void;
}

const LINGER_MS = 5_000;

export function createForge(options: ForgeOptions): Forge {
  const base = new URL(options.url, globalThis.location?.href);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  const socketUrl = new URL("ws", base);
  socketUrl.protocol = base.protocol.replace("http", "ws");

  const tokens = new Tokens(options.getToken);
  const http = new Http(base, tokens, options.fetch ?? ((...request) => globalThis.fetch(...request)));
  let closed = false;

  const listener: ConnectionListener = {
    connected(userChanged) {
      if (userChanged) forget();
      queries.connected();
      outbox.connected();
    },
    disconnected: () => queries.disconnected(),
    authenticated(userChanged) {
      if (userChanged) forget();
      else queries.retryRefused();
    },
    frameTooLarge() {
      if (!outbox.failLargest()) queries.failLargest();
    },
    frame(frame: ServerFrame) {
      if (frame.type === "transition") queries.transition(frame);
      else if (frame.type === "mutResult") outbox.handleResult(frame);
    },
    pendingMutations: () => outbox.pending,
  };
  const link = new Link({
    url: socketUrl,
    contract: options.contract,
    tokens,
    WebSocket: options.WebSocket ?? globalThis.WebSocket,
    listener,
  });
  const queries = new Queries(link, options.lingerMs ?? LINGER_MS, (mutations) => outbox.markApplied(mutations));
  const outbox = new Outbox(link, queries, () => link.publish());

  const forget = () => {
    outbox.abandon("the signed-in user changed");
    queries.forget();
  };
  const cancelled = (ref: AnyRequest): Result<unknown, unknown> => ({
    ok: false,
    error: failure(ref.codes, { code: "CANCELLED", message: "the client is closed" }, trace().id),
  });

  const follow = (handle: string, status: QueryRef<{ id: string }, Followed>, none: object, cancel: AnyRequest) => {
    const end = () => (closed ? Promise.resolve(cancelled(cancel)) : outbox.add(cancel.name, [], { id: handle }, undefined));
    return watchFollowed(queries.watch(status, { id: handle }) as Watch<Followed>, none, end as () => Promise<Result<Followed>>) as never;
  };

  // References carry the types of arguments, results and errors for callers; the implementation treats all of them as unknown.
  return {
    call: (ref: AnyRequest, args?: unknown, call: CallOptions = {}) =>
      (closed ? Promise.resolve(cancelled(ref)) : http.call(ref, args, call)) as Promise<never>,
    mutate: (ref: MutationRef<never, unknown, unknown>, args?: unknown, { optimistic }: MutateOptions<never> = {}) => {
      const update = optimistic && ((store: LocalStore) => optimistic(store, args as never));
      return (closed ? Promise.resolve(cancelled(ref)) : outbox.add(ref.name, ref.codes, args, update)) as Promise<never>;
    },
    watch: (ref: QueryRef<never, unknown, unknown>, args?: unknown) => queries.watch(ref, args) as Watch<never, never>,
    job: (handle: string) => follow(handle, jobStatus, NO_JOB, cancelMyJob),
    workflow: (handle: string) => follow(handle, workflowStatus, NO_RUN, cancelMyWorkflow),
    connection: link,
    get sessionEpoch() {
      return queries.sessionEpoch;
    },
    connect: () => link.start(),
    authenticate: () => link.identify(false),
    signOut() {
      link.identify(true);
      forget();
    },
    close() {
      if (closed) return;
      closed = true;
      outbox.abandon("the client is closed");
      link.close();
      queries.close();
    },
  };
}

