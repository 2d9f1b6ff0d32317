/**
 * The WebSocket connection of a client: one socket at a time, and the user whose token it carries.
 *
 *   idle ──start──▶ fetching ──token──▶ opening ──open, hello──▶ greeting ──welcome──▶ live
 *                      ▲  │ no token       │ 10 s                   │ 10 s              │ closed, silent, goAway
 *                      │  ▼                ▼                        ▼                   ▼
 *                      waiting ◀───────────┴────────────────────────┴───────────────────┘
 *
 * Invariants: a frame of an earlier socket is ignored; another attempt always follows a lost socket, with full jitter, or at once after a
 * planned end (1001, 1012, goAway), an expired token, `online` or a page that becomes visible; the client never closes a socket because its
 * token cannot be renewed, the node does that. `waiting` is the only state without a socket or a fetch, and it always has a timer.
 */
import { backoff } from "./random.js";
import { notifyAll } from "./store.js";
/** Time limits: of `opening` and of `greeting` each, and of the answer to a ping. */
const STEP_MS_MAX = 10_000;
const PONG_MS_MAX = 10_000;
/** Time for the answer to a ping after the page or the network came back: the connection has probably broken meanwhile. */
const WAKE_PONG_MS_MAX = 2_000;
/** Interval at which a visible page compares its timer with the clock. A difference beyond `SLEPT_MS_MIN` means that the machine slept. */
const CLOCK_MS = 2_000;
const SLEPT_MS_MIN = 3_000;
const PING_MS = 25_000;
/** A connection that lasted this long was a success: the backoff of the next attempt begins anew. */
const STABLE_MS = 5_000;
/** Tokens are renewed this long before they expire. */
const REFRESH_AHEAD_MS = 30_000;
/** A token with a lifetime below twice `REFRESH_AHEAD_MS` is renewed after half of it, but not more often than this. */
const REFRESH_MS_MIN = 1_000;
/** Renewal of a token that seems to have expired before it arrived: one of the two clocks is wrong, and renewing at once would loop. */
const REFRESH_WRONG_MS = 10_000;
/** Browser timers count in 32 bits, so a longer wait is divided. */
const TIMER_MS_MAX = 12 * 3_600_000;
/** The subprotocols, the preferred one first. In `forge.v1.parts` a large frame comes in parts, each of which shows that the node lives. */
const SUBPROTOCOLS = ["forge.v1.parts", "forge.v1"];
export class Link {
    options;
    current;
    #phase = "idle";
    /** Grows with each attempt and each dropped socket; asynchronous work of an earlier generation is ignored. */
    #generation = 0;
    #attempt = 0;
    #refreshAttempt = 0;
    #socket;
    /** The parts of a frame that have arrived. */
    #parts = [];
    #timers = new Map();
    #listeners = new Set();
    #everLive = false;
    #outdated = false;
    /** The node refused the token and has accepted no other since. */
    #refused = false;
    #subject = null;
    #expiresAt = Infinity;
    #pingId = 0;
    #pingAt = 0;
    #rttMs;
    #nextRetryAt;
    /** Number of `auth` frames sent since the client was created. */
    tokensSent = 0;
    /** Callers that wait for the reply to an `auth` frame; replies arrive in the order of the frames. */
    #authReplies = [];
    #renewal;
    /** The token that replaced a refused one. When the node refuses the replacement too, no further token is fetched. */
    #replacement;
    #stopListening;
    constructor(options) {
        this.options = options;
        this.current = { state: "connecting", since: Date.now(), attempt: 0, nextRetryAt: undefined, pendingMutations: 0, rttMs: undefined };
        this.#stopListening = this.#listenToPage();
    }
    get isLive() {
        return this.#phase === "live";
    }
    subscribe(listener) {
        const own = () => listener();
        this.#listeners.add(own);
        return () => this.#listeners.delete(own);
    }
    /** Connects, unless the connection was started already. Without `WebSocket` (server-side rendering) nothing happens. */
    start() {
        if (this.#phase === "idle" && this.options.WebSocket)
            void this.#connect();
    }
    /** Sends a frame; returns `false` when there is no live connection. */
    send(frame) {
        if (!this.isLive)
            return false;
        this.#write(frame);
        return true;
    }
    /** Fetches and sends another token after a request failed as UNAUTHENTICATED. Returns whether the request is worth repeating. */
    async replaceRefusedToken() {
        const { tokens } = this.options;
        if (!tokens.renewable || tokens.current == null || tokens.current === this.#replacement)
            return false;
        const accepted = await this.#renew(true);
        if (accepted)
            this.#replacement = tokens.current;
        return accepted;
    }
    /** Another user signed in, or the user signed out. The node runs the frames that follow as that user. */
    identify(signedOut) {
        this.options.tokens.forget(signedOut);
        this.#renewal = undefined;
        this.#replacement = undefined;
        this.#refused = false;
        this.#expiresAt = Infinity;
        this.#clear("refresh");
        if (signedOut)
            this.#subject = null;
        if (this.isLive)
            void (signedOut ? this.#sendToken(null) : this.#renew(false));
        else if (this.#phase !== "idle" && this.#phase !== "closed")
            this.#reconnectNow();
    }
    /** Computes `current` anew and notifies the listeners when it changed. */
    publish() {
        const state = this.#state();
        const { current } = this;
        const next = {
            state,
            since: state === current.state ? current.since : Date.now(),
            attempt: this.#attempt,
            nextRetryAt: this.#nextRetryAt,
            pendingMutations: this.options.listener.pendingMutations(),
            rttMs: this.#rttMs,
        };
        if (Object.keys(next).every((key) => next[key] === current[key]))
            return;
        this.current = next;
        notifyAll(this.#listeners);
    }
    close() {
        this.#stopListening();
        this.#dropSocket();
        this.#phase = "closed";
        this.publish();
        this.#listeners.clear();
    }
    #state() {
        if (this.#phase === "live")
            return this.#outdated ? "outdated" : "live";
        if (this.#phase === "closed" || globalThis.navigator?.onLine === false)
            return "offline";
        if (this.#refused)
            return "authExpired";
        return this.#everLive ? "reconnecting" : "connecting";
    }
    async #connect() {
        const generation = ++this.#generation;
        const { tokens, WebSocket: Socket, url } = this.options;
        this.#phase = "fetching";
        this.#nextRetryAt = undefined;
        this.publish();
        try {
            const usable = !this.#refused && tokens.current != null && this.#expiresAt - Date.now() > REFRESH_AHEAD_MS;
            if (!usable)
                await tokens.get(this.#refused || this.#expiresAt - Date.now() <= REFRESH_AHEAD_MS);
        }
        catch {
            if (generation === this.#generation)
                this.#scheduleAttempt(backoff(this.#attempt));
            return;
        }
        if (generation !== this.#generation || !Socket)
            return;
        this.#phase = "opening";
        this.#arm("step", STEP_MS_MAX, () => this.#reconnectIn(backoff(this.#attempt)));
        const socket = new Socket(url, SUBPROTOCOLS);
        this.#socket = socket;
        this.#parts = [];
        const isCurrent = () => socket === this.#socket;
        socket.onopen = () => isCurrent() && this.#sendHello();
        socket.onmessage = (event) => isCurrent() && this.#receive(event.data);
        socket.onclose = (event) => isCurrent() && this.#closed(event.code);
    }
    #sendHello() {
        const { contract, tokens } = this.options;
        this.#phase = "greeting";
        this.#arm("step", STEP_MS_MAX, () => this.#reconnectIn(backoff(this.#attempt)));
        const token = tokens.current;
        this.#write({ type: "hello", proto: 1, ...(contract && { contract }), ...(token && { token }) });
    }
    #receive(data) {
        let text = String(data);
        this.#clear("pong");
        if (text.startsWith("+")) {
            this.#parts.push(text.slice(1));
            return;
        }
        if (text.startsWith("="))
            text = this.#parts.splice(0).join("") + text.slice(1);
        let frame;
        try {
            frame = JSON.parse(text);
        }
        catch {
            return this.#reconnectIn(backoff(this.#attempt));
        }
        switch (frame.type) {
            case "welcome":
                return this.#welcome(frame);
            case "pong":
                if (frame.id === this.#pingId)
                    this.#rttMs = Date.now() - this.#pingAt;
                return this.publish();
            case "goAway":
                // All clients of a draining node receive this at once, so they leave at random moments within the time given.
                return this.#arm("leave", Math.random() * (frame.afterMs / 2), () => this.#reconnectIn(0));
            case "auth": {
                const reply = this.#authReplies.shift();
                if (!frame.error)
                    this.options.listener.authenticated(this.#acceptIdentity(frame));
                reply?.(!frame.error);
                return;
            }
            case "fault":
                if (frame.error.code === "UNAUTHENTICATED")
                    this.#refused = true;
                return;
            default:
                if (this.isLive)
                    this.options.listener.frame(frame);
        }
    }
    #welcome(frame) {
        if (this.#phase !== "greeting")
            return;
        const { contract, listener } = this.options;
        this.#clear("step");
        this.#phase = "live";
        this.#everLive = true;
        this.#outdated = contract !== undefined && frame.contract !== null && frame.contract !== contract;
        this.#arm("stable", STABLE_MS, () => {
            this.#attempt = 0;
            this.publish();
        });
        const changed = this.#acceptIdentity(frame);
        this.#ping(frame.pingMs || PING_MS);
        listener.connected(changed);
        this.publish();
    }
    /** Stores the identity that the node reported. Returns whether the user is not the one of before. */
    #acceptIdentity({ subject, expiresAt }) {
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
    #refreshIn(ms) {
        if (ms > TIMER_MS_MAX)
            this.#arm("refresh", TIMER_MS_MAX, () => this.#refreshIn(this.#expiresAt - REFRESH_AHEAD_MS - Date.now()));
        else
            this.#arm("refresh", ms, () => void this.#renew(true));
    }
    /** Fetches another token and sends it to the node. One renewal runs at a time. */
    #renew(force) {
        const renewal = (this.#renewal ??= this.#fetchAndSend(force).finally(() => {
            if (this.#renewal === renewal)
                this.#renewal = undefined;
        }));
        return renewal;
    }
    async #fetchAndSend(force) {
        const { tokens } = this.options;
        const { signInEpoch } = tokens;
        let accepted = false;
        try {
            const token = await tokens.get(force);
            accepted = await this.#sendToken(token);
        }
        catch {
            // The socket stays open: the old token is good until it expires, and then the node closes the connection.
        }
        if (!accepted && this.isLive && tokens.renewable && signInEpoch === tokens.signInEpoch) {
            this.#arm("refresh", backoff(++this.#refreshAttempt + 2), () => void this.#renew(true));
        }
        return accepted;
    }
    #sendToken(token) {
        if (!this.send({ type: "auth", token }))
            return Promise.resolve(false);
        this.tokensSent += 1;
        return new Promise((resolve) => this.#authReplies.push(resolve));
    }
    #ping(everyMs) {
        this.#arm("ping", everyMs, () => this.#ping(everyMs));
        this.#probe(PONG_MS_MAX);
    }
    /** Pings the node. A connection on which nothing arrives within `limitMs` is broken, though the browser holds it open, and is replaced. */
    #probe(limitMs) {
        this.#pingId += 1;
        this.#pingAt = Date.now();
        this.#write({ type: "ping", id: this.#pingId });
        this.#arm("pong", limitMs, () => this.#reconnectIn(0));
    }
    #closed(code) {
        if (code === 4401)
            this.#refused = true;
        if (code === 1009)
            this.options.listener.frameTooLarge();
        const planned = code === 1001 || code === 1012 || code === 4401;
        this.#socket = undefined;
        this.#reconnectIn(planned ? 0 : backoff(this.#attempt));
    }
    /**
     * Drops the socket and schedules the next attempt in `delay` milliseconds. A `delay` of 0 holds only after a stable connection; otherwise
     * the backoff applies, so that a node that closes each session at once is not flooded with attempts.
     */
    #reconnectIn(delay) {
        const stable = this.#attempt === 0;
        this.#dropSocket();
        this.#scheduleAttempt(stable || delay > 0 ? delay : backoff(this.#attempt));
    }
    #scheduleAttempt(delay) {
        this.#attempt += 1;
        this.#phase = "waiting";
        this.#nextRetryAt = Date.now() + delay;
        this.#arm("retry", delay, () => void this.#connect());
        this.publish();
    }
    /** Drops the socket and starts another attempt at once. */
    #reconnectNow() {
        this.#dropSocket();
        void this.#connect();
    }
    #dropSocket() {
        const wasLive = this.isLive;
        const socket = this.#socket;
        this.#generation += 1;
        this.#socket = undefined;
        this.#phase = "waiting";
        for (const timer of this.#timers.values())
            clearTimeout(timer);
        this.#timers.clear();
        if (socket) {
            socket.onopen = socket.onmessage = socket.onclose = null;
            socket.close();
        }
        for (const reply of this.#authReplies.splice(0))
            reply(false);
        if (wasLive)
            this.options.listener.disconnected();
    }
    #write(frame) {
        this.#socket?.send(JSON.stringify(frame));
    }
    /** The network or the page came back, or the machine slept: a waiting attempt starts now, and an open connection is probed. */
    #wake() {
        if (this.#phase === "waiting")
            this.#reconnectNow();
        else if (this.isLive) {
            this.#probe(WAKE_PONG_MS_MAX);
            if (this.#expiresAt - Date.now() <= REFRESH_AHEAD_MS && this.options.tokens.renewable)
                void this.#renew(true);
        }
    }
    /** Wakes the connection when the timers of a visible page stood still. Browsers slow down those of hidden pages. */
    #watchClock(document) {
        let comparedAt = Date.now();
        return setInterval(() => {
            const lateMs = Date.now() - comparedAt - CLOCK_MS;
            comparedAt = Date.now();
            if (lateMs > SLEPT_MS_MIN && document.visibilityState === "visible")
                this.#wake();
        }, CLOCK_MS);
    }
    #listenToPage() {
        const { document } = globalThis;
        const wake = () => this.#wake();
        const seen = () => document.visibilityState === "visible" && this.#wake();
        const offline = () => this.publish();
        // A page that comes back from the back-forward cache, or that the browser had frozen.
        const restored = (event) => event.persisted && this.#wake();
        const clock = document && this.#watchClock(document);
        globalThis.addEventListener?.("online", wake);
        globalThis.addEventListener?.("offline", offline);
        globalThis.addEventListener?.("pageshow", restored);
        document?.addEventListener("visibilitychange", seen);
        document?.addEventListener("resume", wake);
        return () => {
            clearInterval(clock);
            globalThis.removeEventListener?.("online", wake);
            globalThis.removeEventListener?.("offline", offline);
            globalThis.removeEventListener?.("pageshow", restored);
            document?.removeEventListener("visibilitychange", seen);
            document?.removeEventListener("resume", wake);
        };
    }
    #arm(name, ms, work) {
        this.#clear(name);
        this.#timers.set(name, setTimeout(work, ms));
    }
    #clear(name) {
        clearTimeout(this.#timers.get(name));
        this.#timers.delete(name);
    }
}
