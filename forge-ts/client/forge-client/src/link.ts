/**
 * The connection: one socket at a time, and who speaks on it.
 *
 *   idle ──start──▶ fetching ──token──▶ opening ──open, hello──▶ greeting ──welcome──▶ live
 *                      ▲  │ no token       │ 10 s                   │ 10 s              │ closed, silent, goAway
 *                      │  ▼                ▼                        ▼                   ▼
 *                      waiting ◀───────────┴────────────────────────┴───────────────────┘
 *
 * Invariants: a frame of an earlier socket is never heard; an attempt always follows, with full jitter, and at once after a planned end
 * (1001, 1012, goAway), an expired token, `online` or a page that becomes visible; a socket is never closed for want of a token, the
 * node does that. `waiting` is the only state without a socket or a fetch, and it always has a timer.
 */

import type { ClientFrame, Identity, ServerFrame, Welcome } from "./frames.js";
import { backoff } from "./random.js";
import { tell, type Store } from "./store.js";
import type { Tokens } from "./tokens.js";

export type ConnectionState = "connecting" | "live" | "reconnecting" | "offline" | "authExpired" | "outdated";

export interface Connection {
  /** `outdated` is live, with a node whose functions are not those that this page was built for: reload when it suits. */
  readonly state: ConnectionState;
  /** When the state began, in milliseconds of `Date.now()`. */
  readonly since: number;
  /** Attempts since the connection was last stable. */
  readonly attempt: number;
  readonly nextRetryAt: number | undefined;
  /** Mutations whose outcome is not known yet. */
  readonly pendingMutations: number;
  readonly rttMs: number | undefined;
}

/** What lives on the connection. */
export interface Passengers {
  /** Connected: subscribe and send again what is unsettled. `changed`: another person than before is signed in. */
  live(changed: boolean): void;
  lost(): void;
  /** Another token was accepted: ask again for what was refused. */
  identified(changed: boolean): void;
  /** The node refused the largest frame that waits for an answer. */
  tooLarge(): void;
  frame(frame: ServerFrame): void;
  pending(): number;
}

export interface LinkOptions {
  url: URL;
  contract: string | undefined;
  tokens: Tokens;
  WebSocket: typeof WebSocket | undefined;
  passengers: Passengers;
}

/** From the beginning of an attempt's socket to its welcome, each step. */
const STEP_MS_MAX = 10_000;
const PONG_MS_MAX = 10_000;
const PING_MS = 25_000;
/** A connection that lasted this long counts as a success: the next attempt is the first again. */
const STABLE_MS = 5_000;
/** Tokens are renewed this long before they expire. */
const REFRESH_AHEAD_MS = 30_000;
/** One that lives shorter than twice that is renewed after half of its life, but not all the time. */
const REFRESH_MS_MIN = 1_000;
/** When a token seems to be expired already: then one of the two clocks is wrong, and that must not make a loop. */
const REFRESH_WRONG_MS = 10_000;
/** Timers count in 32 bits; a longer wait is taken in pieces. */
const TIMER_MS_MAX = 12 * 3_600_000;

type Timer = "step" | "retry" | "ping" | "pong" | "stable" | "refresh" | "leave";
type Phase = "idle" | "fetching" | "opening" | "greeting" | "live" | "waiting" | "closed";

export class Link implements Store<Connection> {
  current: Connection;
  #phase: Phase = "idle";
  /** Counts attempts; what belongs to an earlier one is ignored. */
  #run = 0;
  #attempt = 0;
  #refreshAttempt = 0;
  #socket: WebSocket | undefined;
  #timers = new Map<Timer, ReturnType<typeof setTimeout>>();
  #listeners = new Set<() => void>();
  #everLive = false;
  #outdated = false;
  /** The node refused the token, and no other has been accepted since. */
  #refused = false;
  #subject: string | null = null;
  #expiresAt = Infinity;
  #pingId = 0;
  #pingAt = 0;
  #rttMs: number | undefined;
  #nextRetryAt: number | undefined;
  /** Tokens that nodes were told since the first connection. */
  tokensTold = 0;
  /** Waiting for answers to `auth`, in the order in which they were sent. */
  #answers: ((accepted: boolean) => void)[] = [];
  #renewal: Promise<boolean> | undefined;
  /** A token that was fetched because its predecessor was refused: refused as well, it is not replaced again. */
  #challenged: string | null | undefined;
  #unlisten: () => void;

  constructor(private readonly options: LinkOptions) {
    this.current = { state: "connecting", since: Date.now(), attempt: 0, nextRetryAt: undefined, pendingMutations: 0, rttMs: undefined };
    this.#unlisten = this.#listen();
  }

  get isLive(): boolean {
    return this.#phase === "live";
  }

  subscribe(listener: () => void): () => void {
    const own = () => listener();
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  /** Connects, unless it did already. Without WebSocket (on a server) nothing is ever live. */
  start(): void {
    if (this.#phase === "idle" && this.options.WebSocket) void this.#connect();
  }

  /** Writes a frame; `false` when there is no live connection. */
  send(frame: ClientFrame): boolean {
    if (!this.isLive) return false;
    this.#write(frame);
    return true;
  }

  /** A call was refused as UNAUTHENTICATED: whether another token was had and accepted, so that it is worth a repeat. */
  async challenge(): Promise<boolean> {
    const { tokens } = this.options;
    if (!tokens.renewable || tokens.current == null || tokens.current === this.#challenged) return false;
    const accepted = await this.#renew(true);
    if (accepted) this.#challenged = tokens.current;
    return accepted;
  }

  /** Another person, or none. The frames that follow are judged as theirs. */
  identify(signedOut: boolean): void {
    this.options.tokens.forget(signedOut);
    this.#renewal = undefined;
    this.#challenged = undefined;
    this.#refused = false;
    this.#expiresAt = Infinity;
    this.#clear("refresh");
    if (signedOut) this.#subject = null;
    if (this.isLive) void (signedOut ? this.#tell(null) : this.#renew(false));
    else if (this.#phase !== "idle" && this.#phase !== "closed") this.#again();
  }

  /** Tells listeners what changed. */
  publish(): void {
    const state = this.#state();
    const { current } = this;
    const next: Connection = {
      state,
      since: state === current.state ? current.since : Date.now(),
      attempt: this.#attempt,
      nextRetryAt: this.#nextRetryAt,
      pendingMutations: this.options.passengers.pending(),
      rttMs: this.#rttMs,
    };
    if ((Object.keys(next) as (keyof Connection)[]).every((key) => next[key] === current[key])) return;
    this.current = next;
    tell(this.#listeners);
  }

  close(): void {
    this.#unlisten();
    this.#drop();
    this.#phase = "closed";
    this.publish();
    this.#listeners.clear();
  }

  #state(): ConnectionState {
    if (this.#phase === "live") return this.#outdated ? "outdated" : "live";
    if (this.#phase === "closed" || globalThis.navigator?.onLine === false) return "offline";
    if (this.#refused) return "authExpired";
    return this.#everLive ? "reconnecting" : "connecting";
  }

  async #connect(): Promise<void> {
    const run = ++this.#run;
    const { tokens, WebSocket: Socket, url } = this.options;
    this.#phase = "fetching";
    this.#nextRetryAt = undefined;
    this.publish();
    try {
      const usable = !this.#refused && tokens.current != null && this.#expiresAt - Date.now() > REFRESH_AHEAD_MS;
      if (!usable) await tokens.get(this.#refused || this.#expiresAt - Date.now() <= REFRESH_AHEAD_MS);
    } catch {
      if (run === this.#run) this.#wait(backoff(this.#attempt));
      return;
    }
    if (run !== this.#run || !Socket) return;
    this.#phase = "opening";
    this.#arm("step", STEP_MS_MAX, () => this.#end(backoff(this.#attempt)));
    const socket = new Socket(url, "forge.v1");
    this.#socket = socket;
    const mine = () => socket === this.#socket;
    socket.onopen = () => mine() && this.#greet();
    socket.onmessage = (event) => mine() && this.#hear(event.data);
    socket.onclose = (event) => mine() && this.#closed(event.code);
  }

  #greet(): void {
    const { contract, tokens } = this.options;
    this.#phase = "greeting";
    this.#arm("step", STEP_MS_MAX, () => this.#end(backoff(this.#attempt)));
    const token = tokens.current;
    this.#write({ type: "hello", proto: 1, ...(contract && { contract }), ...(token && { token }) });
  }

  #hear(data: unknown): void {
    let frame: ServerFrame;
    try {
      frame = JSON.parse(String(data)) as ServerFrame;
    } catch {
      return this.#end(backoff(this.#attempt));
    }
    this.#clear("pong");
    switch (frame.type) {
      case "welcome":
        return this.#welcome(frame);
      case "pong":
        if (frame.id === this.#pingId) this.#rttMs = Date.now() - this.#pingAt;
        return this.publish();
      case "goAway":
        // Everyone of a node hears this at once: they leave one after another, in time.
        return this.#arm("leave", Math.random() * (frame.afterMs / 2), () => this.#end(0));
      case "auth": {
        const answer = this.#answers.shift();
        if (!frame.error) this.options.passengers.identified(this.#accept(frame));
        answer?.(!frame.error);
        return;
      }
      case "fault":
        if (frame.error.code === "UNAUTHENTICATED") this.#refused = true;
        return;
      default:
        if (this.isLive) this.options.passengers.frame(frame);
    }
  }

  #welcome(frame: Welcome): void {
    if (this.#phase !== "greeting") return;
    const { contract, passengers } = this.options;
    this.#clear("step");
    this.#phase = "live";
    this.#everLive = true;
    this.#outdated = contract !== undefined && frame.contract !== null && frame.contract !== contract;
    this.#arm("stable", STABLE_MS, () => {
      this.#attempt = 0;
      this.publish();
    });
    const changed = this.#accept(frame);
    this.#ping(frame.pingMs || PING_MS);
    passengers.live(changed);
    this.publish();
  }

  /** Keeps who the node says that we are; whether that is somebody else than before. */
  #accept({ subject, expiresAt }: Identity): boolean {
    const changed = this.#subject !== null && this.#subject !== subject;
    this.#subject = subject;
    this.#refused = false;
    this.#refreshAttempt = 0;
    this.#expiresAt = expiresAt === null ? Infinity : Date.parse(expiresAt);
    this.#clear("refresh");
    if (expiresAt !== null) {
      const left = this.#expiresAt - Date.now();
      this.#refreshIn(left > 0 ? Math.max(left - REFRESH_AHEAD_MS, left / 2, REFRESH_MS_MIN) : REFRESH_WRONG_MS);
    }
    return changed;
  }

  #refreshIn(ms: number): void {
    if (ms > TIMER_MS_MAX) this.#arm("refresh", TIMER_MS_MAX, () => this.#refreshIn(this.#expiresAt - REFRESH_AHEAD_MS - Date.now()));
    else this.#arm("refresh", ms, () => void this.#renew(true));
  }

  /** Has another token and tells the node. One at a time. */
  #renew(force: boolean): Promise<boolean> {
    const renewal = (this.#renewal ??= this.#fetchAndTell(force).finally(() => {
      if (this.#renewal === renewal) this.#renewal = undefined;
    }));
    return renewal;
  }

  async #fetchAndTell(force: boolean): Promise<boolean> {
    const { tokens } = this.options;
    const { era } = tokens;
    let accepted = false;
    try {
      const token = await tokens.get(force);
      accepted = await this.#tell(token);
    } catch {
      // The socket stays: until it expires the old token serves, and then the node ends the connection.
    }
    if (!accepted && this.isLive && tokens.renewable && era === tokens.era) {
      this.#arm("refresh", backoff(++this.#refreshAttempt + 2), () => void this.#renew(true));
    }
    return accepted;
  }

  #tell(token: string | null): Promise<boolean> {
    if (!this.send({ type: "auth", token })) return Promise.resolve(false);
    this.tokensTold += 1;
    return new Promise((resolve) => this.#answers.push(resolve));
  }

  #ping(everyMs: number): void {
    this.#arm("ping", everyMs, () => this.#ping(everyMs));
    this.#probe();
  }

  /** Asks for a sign of life; silence ends a connection that only seems to be open. */
  #probe(): void {
    this.#pingId += 1;
    this.#pingAt = Date.now();
    this.#write({ type: "ping", id: this.#pingId });
    this.#arm("pong", PONG_MS_MAX, () => this.#end(0));
  }

  #closed(code: number): void {
    if (code === 4401) this.#refused = true;
    if (code === 1009) this.options.passengers.tooLarge();
    const planned = code === 1001 || code === 1012 || code === 4401;
    this.#socket = undefined;
    this.#end(planned ? 0 : backoff(this.#attempt));
  }

  /** Ends this socket and plans the next one. `delay` 0 means at once, for who did not come back in vain a moment ago. */
  #end(delay: number): void {
    const stable = this.#attempt === 0;
    this.#drop();
    this.#wait(stable || delay > 0 ? delay : backoff(this.#attempt));
  }

  #wait(delay: number): void {
    this.#attempt += 1;
    this.#phase = "waiting";
    this.#nextRetryAt = Date.now() + delay;
    this.#arm("retry", delay, () => void this.#connect());
    this.publish();
  }

  /** Begins anew, now. */
  #again(): void {
    this.#drop();
    void this.#connect();
  }

  #drop(): void {
    const wasLive = this.isLive;
    const socket = this.#socket;
    this.#run += 1;
    this.#socket = undefined;
    this.#phase = "waiting";
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    for (const answer of this.#answers.splice(0)) answer(false);
    if (wasLive) this.options.passengers.lost();
  }

  #write(frame: ClientFrame): void {
    this.#socket?.send(JSON.stringify(frame));
  }

  /** The network is back, or the machine woke: what waits goes on now, what seems to be open is asked. */
  #wake(): void {
    if (this.#phase === "waiting") this.#again();
    else if (this.isLive) {
      this.#probe();
      if (this.#expiresAt - Date.now() <= REFRESH_AHEAD_MS && this.options.tokens.renewable) void this.#renew(true);
    }
  }

  #listen(): () => void {
    const { document } = globalThis;
    const wake = () => this.#wake();
    const seen = () => document.visibilityState === "visible" && this.#wake();
    const offline = () => this.publish();
    globalThis.addEventListener?.("online", wake);
    globalThis.addEventListener?.("offline", offline);
    document?.addEventListener("visibilitychange", seen);
    return () => {
      globalThis.removeEventListener?.("online", wake);
      globalThis.removeEventListener?.("offline", offline);
      document?.removeEventListener("visibilitychange", seen);
    };
  }

  #arm(name: Timer, ms: number, work: () => void): void {
    this.#clear(name);
    this.#timers.set(name, setTimeout(work, ms));
  }

  #clear(name: Timer): void {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}
