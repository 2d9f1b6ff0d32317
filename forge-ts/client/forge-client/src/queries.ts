/**
 * Live queries: what the node last told (base), what mutations under way make of it (layers), and what listeners see of both.
 *
 * Equal name and arguments are one entry with one subscription on the wire. It begins with the first listener and ends a moment after the
 * last one, so that going back and forth costs nothing.
 *
 * Invariants: listeners are told after everything of a frame is in place, never between; what they see is base plus the layers that are
 * not settled, applied again to each new base; a layer falls when the node says that its base contains it, or when its mutation failed.
 * After a reconnect nothing new is shown until each result of before has been confirmed or replaced: old and new ones together would be
 * a state that never was.
 */

import type { ClientFrame, Mod, Transition } from "./frames.js";
import { trace } from "./random.js";
import { canonical, type Params, type QueryRef } from "./ref.js";
import { failure, type Failure } from "./result.js";
import { guarded, tell, type Store } from "./store.js";

interface Stamp {
  /** When the data were told, in milliseconds of `Date.now()`. */
  readonly updatedAt: number | undefined;
  /** Identifies the data. */
  readonly version: string | undefined;
}

/** A live query, as one sees it. An error keeps the last data; `stale` data are shown while they cannot be confirmed. */
export type LiveState<Output, AppError = never> = Stamp &
  (
    | { readonly status: "loading"; readonly data: undefined; readonly error: undefined; readonly isLoading: true; readonly isStale: false }
    | { readonly status: "live"; readonly data: Output; readonly error: undefined; readonly isLoading: false; readonly isStale: false }
    | { readonly status: "stale"; readonly data: Output; readonly error: undefined; readonly isLoading: false; readonly isStale: true }
    | {
        readonly status: "error";
        readonly data: Output | undefined;
        readonly error: Failure<AppError>;
        readonly isLoading: false;
        readonly isStale: boolean;
      }
  );

/** A live query: `current` may be read at any time, and changes while somebody is subscribed. */
export interface Watch<Output, AppError = never> extends Store<LiveState<Output, AppError>> {
  /** Asks again, after an error. */
  retry(): void;
}

/** What an optimistic update may do: change results of queries that are watched, as the mutation will. It runs again on each new base. */
export interface LocalStore {
  /** What is shown, layers below this one included; `undefined` when the query is not watched or has no result yet. */
  get<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, ...args: Params<Args>): Output | undefined;
  set<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, args: Args, value: Output): void;
  /** Lets `change` edit a copy of the result; what it returns does not matter. */
  patch<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, args: Args, change: (draft: Output) => unknown): void;
  /** The same for every watched query of that name, whatever its arguments. */
  patchAll<Args, Output, AppError>(ref: QueryRef<Args, Output, AppError>, change: (draft: Output, args: Args) => unknown): void;
  /** An identifier for something that has none yet: the same one whenever this update runs again. */
  tempId<Id extends string = string>(): Id;
}

const TEMPORARY = "temporary-";

/** Whether an identifier came from `tempId`: what it names is shown before the node knows it. */
export const isTemporary = (id: string): boolean => id.startsWith(TEMPORARY);

export type Update = (store: LocalStore) => void;

type AnyQuery = QueryRef<never, unknown, unknown>;
type AnyState = LiveState<unknown, unknown>;

interface Entry {
  readonly key: string;
  readonly ref: AnyQuery;
  readonly args: unknown;
  readonly handle: Watch<unknown, unknown>;
  readonly listeners: Set<() => void>;
  /** On the wire, when subscribed there. */
  id: number | undefined;
  /** The node ended the subscription, with the error that stands here. */
  ended: boolean;
  refused: boolean;
  /** Which token of the connection it was asked with. */
  askedWith: number;
  /** Asking again would end the connection again. */
  oversize: boolean;
  /** Answered since it was subscribed. */
  answered: boolean;
  loaded: boolean;
  base: unknown;
  version: string | undefined;
  updatedAt: number | undefined;
  error: Failure<unknown> | undefined;
  current: AnyState;
  linger: ReturnType<typeof setTimeout> | undefined;
}

export interface Wire {
  /** Grows with each token that the node is told. */
  readonly tokensTold: number;
  send(frame: ClientFrame): boolean;
  start(): void;
  challenge(): Promise<boolean>;
}

/** Subscriptions that nobody listens to any more; the oldest ends when there are more. */
const LINGERING_MAX = 50;
/** Subscriptions of a connection; more are not made, since a node ends the connection over them. */
const SUBSCRIBED_MAX = 256;
/** After a reconnect, how long a slow query may hold back what the others have to show. */
const RESUME_MS_MAX = 5_000;
/** The node ends a subscription with these. */
const ENDING: readonly string[] = ["NOT_FOUND", "UNAUTHENTICATED", "PERMISSION_DENIED", "VALIDATION"];

const LOADING: AnyState = {
  status: "loading",
  data: undefined,
  error: undefined,
  isLoading: true,
  isStale: false,
  updatedAt: undefined,
  version: undefined,
};

export class Queries {
  /** Grows whenever data are forgotten because somebody else is signed in. */
  era = 0;
  #entries = new Map<string, Entry>();
  #byId = new Map<number, Entry>();
  #layers = new Map<number, Update>();
  #overlay = new Map<string, unknown>();
  #lingering = new Set<Entry>();
  #live = false;
  #idNext = 1;
  #closed = false;
  /** Subscriptions that a reconnect has renewed and that are not answered yet, and what came meanwhile. */
  #awaited = new Set<number>();
  #held: Transition[] = [];
  #resume: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly wire: Wire,
    private readonly lingerMs: number,
    /** Layers whose mutations the node has shown. */
    private readonly onApplied: (mutations: number[]) => void,
  ) {}

  watch(ref: AnyQuery, args: unknown): Watch<unknown, unknown> {
    const text = canonical(args);
    const key = `${ref.name} ${text}`;
    return this.#entries.get(key)?.handle ?? this.#handle(key, ref, text);
  }

  /** Connected: everything that somebody listens to is asked for again, from the version that is here. */
  resume(): void {
    this.#live = true;
    for (const entry of [...this.#lingering]) this.#remove(entry);
    for (const entry of this.#entries.values()) {
      this.#subscribe(entry);
      if (entry.id !== undefined && entry.loaded) this.#awaited.add(entry.id);
    }
    if (this.#awaited.size > 0) this.#resume = setTimeout(() => this.#release(), RESUME_MS_MAX);
    this.#show(false);
  }

  lost(): void {
    this.#live = false;
    this.#byId.clear();
    this.#unhold();
    for (const entry of this.#entries.values()) entry.id = undefined;
    this.#show(false);
  }

  /** Another token counts: what was refused may be allowed now. */
  reconsider(): void {
    for (const entry of this.#entries.values()) if (entry.ended && entry.refused) this.#subscribe(entry);
    this.#show(false);
  }

  /** Somebody else is signed in, or nobody: nothing of before may be seen again, not even a frame that is on its way. */
  forget(): void {
    this.era += 1;
    this.#unhold();
    this.#layers.clear();
    for (const entry of [...this.#lingering]) this.#remove(entry);
    for (const entry of this.#entries.values()) {
      this.#unsubscribe(entry);
      Object.assign(entry, { loaded: false, base: undefined, version: undefined, updatedAt: undefined, error: undefined });
      this.#subscribe(entry);
    }
    // Also who saw nothing yet: a view may have kept what it saw before.
    this.#show(true, true);
  }

  transition(frame: Transition): void {
    this.#held.push(frame);
    for (const mod of frame.mods) this.#awaited.delete(mod.id);
    if (this.#awaited.size === 0) this.#release();
  }

  addLayer(mutation: number, update: Update): void {
    this.#layers.set(mutation, update);
    this.#show(true);
  }

  dropLayer(mutation: number): void {
    if (this.#layers.delete(mutation)) this.#show(true);
  }

  /** The largest request that could have been refused for its size. */
  tooLarge(): void {
    const open = [...this.#byId.values()].filter((entry) => !entry.loaded);
    const largest = open.reduce<Entry | undefined>((most, entry) => (entry.key.length > (most?.key.length ?? 0) ? entry : most), undefined);
    if (!largest) return;
    largest.oversize = true;
    largest.error = failure([], { code: "PAYLOAD_TOO_LARGE", message: "the arguments are larger than the node accepts" }, trace().id);
  }

  close(): void {
    this.#closed = true;
    this.#unhold();
    this.#layers.clear();
    for (const entry of this.#entries.values()) {
      clearTimeout(entry.linger);
      entry.listeners.clear();
    }
    this.#entries.clear();
    this.#lingering.clear();
    this.#byId.clear();
  }

  #handle(key: string, ref: AnyQuery, text: string): Watch<unknown, unknown> {
    const queries = this;
    const handle: Watch<unknown, unknown> = {
      get current() {
        return queries.#entries.get(key)?.current ?? LOADING;
      },
      subscribe: (listener) => queries.#listen(key, ref, text, handle, listener),
      retry: () => queries.#retry(key),
    };
    return handle;
  }

  #listen(key: string, ref: AnyQuery, text: string, handle: Watch<unknown, unknown>, listener: () => void): () => void {
    if (this.#closed) return () => undefined;
    let entry = this.#entries.get(key);
    if (!entry) {
      entry = {
        key,
        ref,
        handle,
        args: JSON.parse(text),
        listeners: new Set(),
        id: undefined,
        ended: false,
        refused: false,
        askedWith: 0,
        oversize: false,
        answered: false,
        loaded: false,
        base: undefined,
        version: undefined,
        updatedAt: undefined,
        error: undefined,
        current: LOADING,
        linger: undefined,
      };
      this.#entries.set(key, entry);
      this.#subscribe(entry);
      this.wire.start();
      // Layers may have something to say about a query that was not watched when they came.
      if (this.#layers.size > 0 || entry.error) this.#show(true);
    }
    clearTimeout(entry.linger);
    this.#lingering.delete(entry);
    // Each subscription is its own, even of one function.
    const own = () => listener();
    entry.listeners.add(own);
    return () => {
      if (entry.listeners.delete(own) && entry.listeners.size === 0) this.#leave(entry);
    };
  }

  #leave(entry: Entry): void {
    this.#lingering.add(entry);
    entry.linger = setTimeout(() => this.#remove(entry), this.lingerMs);
    const [oldest] = this.#lingering;
    if (oldest && this.#lingering.size > LINGERING_MAX) this.#remove(oldest);
  }

  #remove(entry: Entry): void {
    clearTimeout(entry.linger);
    this.#lingering.delete(entry);
    this.#entries.delete(entry.key);
    this.#overlay.delete(entry.key);
    this.#unsubscribe(entry);
  }

  #retry(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry || entry.oversize) return;
    this.#unsubscribe(entry);
    entry.error = undefined;
    this.#subscribe(entry);
    this.#show(false);
  }

  #subscribe(entry: Entry): void {
    if (!this.#live || entry.oversize) return;
    const [oldest] = this.#lingering;
    if (this.#byId.size >= SUBSCRIBED_MAX && oldest) this.#remove(oldest);
    if (this.#byId.size >= SUBSCRIBED_MAX) {
      entry.error = failure([], { code: "OVERLOADED", message: `a page has at most ${SUBSCRIBED_MAX} live queries` }, trace().id);
      return;
    }
    const { ref, args, version } = entry;
    entry.id = this.#idNext++;
    entry.ended = entry.refused = entry.answered = false;
    entry.askedWith = this.wire.tokensTold;
    this.#byId.set(entry.id, entry);
    this.wire.send({ type: "sub", id: entry.id, name: ref.name, args, ...(version !== undefined && { version }) });
  }

  #unsubscribe(entry: Entry): void {
    const { id } = entry;
    if (id === undefined) return;
    entry.id = undefined;
    this.#byId.delete(id);
    if (!entry.ended) this.wire.send({ type: "unsub", id });
    if (this.#awaited.delete(id) && this.#awaited.size === 0) this.#release();
  }

  #unhold(): void {
    clearTimeout(this.#resume);
    this.#awaited.clear();
    this.#held = [];
  }

  /** Puts everything that was held in place, and then shows it. */
  #release(): void {
    const held = this.#held;
    this.#unhold();
    const applied: number[] = [];
    for (const frame of held) {
      for (const mod of frame.mods) this.#apply(mod);
      for (const id of frame.applied) if (this.#layers.delete(id)) applied.push(id);
    }
    this.onApplied(applied);
    this.#show(true);
  }

  #apply(mod: Mod): void {
    const entry = this.#byId.get(mod.id);
    if (!entry) return;
    entry.answered = true;
    if (mod.error) {
      const { code } = mod.error;
      entry.ended = ENDING.includes(code);
      entry.refused = code === "UNAUTHENTICATED" || code === "PERMISSION_DENIED";
      // Who was refused is not who is signed in by now: the answer to the one before says nothing about this one's token.
      if (entry.refused && entry.askedWith !== this.wire.tokensTold) {
        this.#unsubscribe(entry);
        return this.#subscribe(entry);
      }
      const told = failure<unknown>(entry.ref.codes, mod.error, trace().id);
      if (code === "UNAUTHENTICATED") void this.#challenge(entry, mod.id, told);
      else entry.error = told;
      return;
    }
    entry.error = undefined;
    entry.updatedAt = Date.now();
    if (mod.unchanged || (entry.loaded && entry.version === mod.version)) return;
    entry.base = mod.snapshot;
    entry.version = mod.version;
    entry.loaded = true;
  }

  /** The token may only have expired: the error is shown when another one does not help. */
  async #challenge(entry: Entry, id: number, told: Failure<unknown>): Promise<void> {
    if ((await this.wire.challenge()) || entry.id !== id) return;
    entry.error = told;
    this.#show(false);
  }

  /** Computes what is seen, and tells who sees something else than before. */
  #show(layered: boolean, everyone = false): void {
    if (layered) this.#overlay = this.#layers.size > 0 ? this.#computeOverlay() : new Map();
    const changed: Entry[] = [];
    for (const entry of this.#entries.values()) {
      const next = this.#seen(entry);
      const { current } = entry;
      const same = (Object.keys(next) as (keyof AnyState)[]).every((key) => next[key] === current[key]);
      if (same && !everyone) continue;
      entry.current = next;
      changed.push(entry);
    }
    tell(changed.flatMap((entry) => [...entry.listeners]));
  }

  #seen(entry: Entry): AnyState {
    const { key, error, updatedAt, version } = entry;
    const laid = this.#overlay.has(key);
    const data = laid ? this.#overlay.get(key) : entry.base;
    const stamp = { updatedAt, version };
    const has = laid || entry.loaded;
    const confirmed = this.#live && entry.answered && !entry.ended;
    if (error) return { status: "error", data: has ? data : undefined, error, isLoading: false, isStale: has, ...stamp };
    if (!has) return LOADING;
    if (confirmed) return { status: "live", data, error: undefined, isLoading: false, isStale: false, ...stamp };
    return { status: "stale", data, error: undefined, isLoading: false, isStale: true, ...stamp };
  }

  #computeOverlay(): Map<string, unknown> {
    const overlay = new Map<string, unknown>();
    for (const [mutation, update] of this.#layers) {
      // An update that throws is taken out whole: half of one must not be seen.
      const before = new Map(overlay);
      if (guarded(() => update(this.#local(mutation, overlay)))) continue;
      this.#layers.delete(mutation);
      overlay.clear();
      for (const [key, value] of before) overlay.set(key, value);
    }
    return overlay;
  }

  #local(mutation: number, overlay: Map<string, unknown>): LocalStore {
    let temporary = 0;
    const edit = (key: string, change: (draft: never) => unknown) => {
      const entry = this.#entries.get(key);
      if (!overlay.has(key) && !entry?.loaded) return;
      const draft = structuredClone(overlay.has(key) ? overlay.get(key) : entry?.base);
      change(draft as never);
      overlay.set(key, draft);
    };
    const keyOf = (ref: { name: string }, args: unknown) => `${ref.name} ${canonical(args)}`;
    return {
      get: (ref, ...[args]) => {
        const key = keyOf(ref, args);
        // The reference says what the name's results are.
        return (overlay.has(key) ? overlay.get(key) : this.#entries.get(key)?.base) as never;
      },
      set: (ref, args, value) => {
        const key = keyOf(ref, args);
        if (this.#entries.has(key)) overlay.set(key, value);
      },
      patch: (ref, args, change) => edit(keyOf(ref, args), change),
      patchAll: (ref, change) => {
        for (const entry of this.#entries.values())
          if (entry.ref.name === ref.name) edit(entry.key, (draft) => change(draft, entry.args as never));
      },
      tempId: <Id extends string>() => `${TEMPORARY}${mutation}-${++temporary}` as Id,
    };
  }
}
