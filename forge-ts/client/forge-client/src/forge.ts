/**
 * The client: one connection for everything that is live, HTTP for single calls.
 *
 * `watch` and `mutate` open the connection when they are first used. `mutate` always travels on it: it is kept while there is none, is
 * sent again after one broke, and happens once. `call` is one HTTP request, which is never repeated behind the caller's back.
 */

import type { ServerFrame } from "./frames.js";
import { Http, type AnyRequest, type CallOptions } from "./http.js";
import { Link, type Connection, type Passengers } from "./link.js";
import { Outbox } from "./outbox.js";
import { Queries, type LocalStore, type Watch } from "./queries.js";
import type { AnyRef, MutationRef, Params, QueryRef } from "./ref.js";
import { failure, type Result } from "./result.js";
import type { Store } from "./store.js";
import { Tokens, type GetToken } from "./tokens.js";
import { trace } from "./random.js";

export interface ForgeOptions {
  /** Where the node is, relative to the page: `"/"` when it serves the page. */
  url: string | URL;
  getToken?: GetToken;
  /** `contract` of the generated `api.ts`. */
  contract?: string;
  /** How long a live query stays subscribed after its last listener left. */
  lingerMs?: number;
  fetch?: typeof globalThis.fetch;
  WebSocket?: typeof globalThis.WebSocket;
}

export interface MutateOptions<Args> {
  /** Shows the outcome before it is there. It runs again whenever what it changes is told anew, so it must not do anything else. */
  optimistic?: (store: LocalStore, args: Args) => void;
}

export interface Forge {
  /** One request over HTTP. */
  call<Args, Output, AppError>(
    ref: AnyRef<Args, Output, AppError>,
    ...args: Params<Args, [options?: CallOptions]>
  ): Promise<Result<Output, AppError>>;
  /** A mutation over the connection: in order, sent until its outcome is known, done once. */
  mutate<Args, Output, AppError>(
    ref: MutationRef<Args, Output, AppError>,
    ...args: Params<Args, [options?: MutateOptions<Args>]>
  ): Promise<Result<Output, AppError>>;
  /** A live query. It is subscribed while somebody listens. */
  watch<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, ...args: Params<Args>): Watch<Output, AppError>;
  readonly connection: Store<Connection>;
  /** Grows whenever data were forgotten because somebody else is signed in. */
  readonly era: number;
  /** Connects now instead of with the first live query. */
  connect(): void;
  /** The application has another token (somebody signed in): asks `getToken` for it and tells the node. */
  authenticate(): void;
  /** Forgets the token and all data, gives pending mutations up, and tells the node. `getToken` is not asked until `authenticate`. */
  signOut(): void;
  /** Ends everything: connection, timers, listeners, and mutations, as `CANCELLED` or `OUTCOME_UNKNOWN`. */
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

  const passengers: Passengers = {
    live(changed) {
      if (changed) forget();
      queries.resume();
      outbox.resume();
    },
    lost: () => queries.lost(),
    identified(changed) {
      if (changed) forget();
      else queries.reconsider();
    },
    tooLarge() {
      if (!outbox.tooLarge()) queries.tooLarge();
    },
    frame(frame: ServerFrame) {
      if (frame.type === "transition") queries.transition(frame);
      else if (frame.type === "mutResult") outbox.result(frame);
    },
    pending: () => outbox.pending,
  };
  const link = new Link({
    url: socketUrl,
    contract: options.contract,
    tokens,
    WebSocket: options.WebSocket ?? globalThis.WebSocket,
    passengers,
  });
  const queries = new Queries(link, options.lingerMs ?? LINGER_MS, (mutations) => outbox.applied(mutations));
  const outbox = new Outbox(link, queries, () => link.publish());

  const forget = () => {
    outbox.abandon("somebody else is signed in now");
    queries.forget();
  };
  const cancelled = (ref: AnyRequest): Result<unknown, unknown> => ({
    ok: false,
    error: failure(ref.codes, { code: "CANCELLED", message: "the client is closed" }, trace().id),
  });

  // The references carry the types of what travels under their names; inside, all of them are unknown.
  return {
    call: (ref: AnyRequest, args?: unknown, call: CallOptions = {}) =>
      (closed ? Promise.resolve(cancelled(ref)) : http.call(ref, args, call)) as Promise<never>,
    mutate: (ref: MutationRef<never, unknown, unknown>, args?: unknown, { optimistic }: MutateOptions<never> = {}) => {
      const update = optimistic && ((store: LocalStore) => optimistic(store, args as never));
      return (closed ? Promise.resolve(cancelled(ref)) : outbox.add(ref.name, ref.codes, args, update)) as Promise<never>;
    },
    watch: (ref: QueryRef<never, unknown, unknown>, args?: unknown) => queries.watch(ref, args) as Watch<never, never>,
    connection: link,
    get era() {
      return queries.era;
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

