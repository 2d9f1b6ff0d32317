/**
 * Live queries: the last result that the node sent for each (base), the optimistic updates of unsettled mutations (layers), and the state
 * that listeners see, which is the base with all layers applied.
 *
 * Watches of the same query with equal arguments share one entry and one subscription. The subscription begins with the first listener and
 * ends a moment after the last one left, so that a page that is left and opened again causes no traffic.
 *
 * Invariants: listeners are notified after a whole transition was applied, never in between; the layers are applied again to each new base;
 * a layer is dropped when the node reports that the base contains its mutation, or when the mutation failed. After a reconnect no new
 * result is shown until every earlier result was confirmed or replaced, since old and new results together are a state that never existed.
 */
import { trace } from "./random.js";
import { canonical } from "./ref.js";
import { failure } from "./result.js";
import { runGuarded, notifyAll } from "./store.js";
const TEMPORARY = "temporary-";
/** Whether an identifier came from `tempId`, so that the node does not know its record yet. */
export const isTemporary = (id) => id.startsWith(TEMPORARY);
/** Subscriptions without a listener at most; beyond that the oldest one ends. */
const LINGERING_MAX = 50;
/** Subscriptions of a connection at most; further ones fail here, since a node would close the connection. */
const SUBSCRIBED_MAX = 256;
/** Time for which a query that is not answered after a reconnect may delay the results of the others. */
const RESUME_MS_MAX = 5_000;
/** Error codes with which the node ends a subscription. */
const ENDING_CODES = ["NOT_FOUND", "UNAUTHENTICATED", "PERMISSION_DENIED", "VALIDATION"];
const LOADING = {
    status: "loading",
    data: undefined,
    error: undefined,
    isLoading: true,
    isStale: false,
    updatedAt: undefined,
    version: undefined,
};
export class Queries {
    transport;
    lingerMs;
    onApplied;
    /** Grows whenever all data are dropped because another user signed in or the user signed out. */
    sessionEpoch = 0;
    #entries = new Map();
    #byId = new Map();
    #layers = new Map();
    #overlay = new Map();
    #lingering = new Set();
    #connected = false;
    #idNext = 1;
    #closed = false;
    /** After a reconnect: subscriptions without an answer, and the transitions that wait for these answers. */
    #awaitedIds = new Set();
    #bufferedFrames = [];
    #resumeTimer;
    constructor(transport, lingerMs, 
    /** Receives the mutations whose effect the base now contains. */
    onApplied) {
        this.transport = transport;
        this.lingerMs = lingerMs;
        this.onApplied = onApplied;
    }
    watch(ref, args) {
        const text = canonical(args);
        const key = `${ref.name} ${text}`;
        return this.#entries.get(key)?.handle ?? this.#handle(key, ref, text);
    }
    /** The connection is live: subscribes every query that has a listener, from the version of its last result. */
    connected() {
        this.#connected = true;
        for (const entry of [...this.#lingering])
            this.#remove(entry);
        for (const entry of this.#entries.values()) {
            this.#subscribe(entry);
            if (entry.id !== undefined && entry.loaded)
                this.#awaitedIds.add(entry.id);
        }
        if (this.#awaitedIds.size > 0)
            this.#resumeTimer = setTimeout(() => this.#applyBuffered(), RESUME_MS_MAX);
        this.#publish(false);
    }
    disconnected() {
        this.#connected = false;
        this.#byId.clear();
        this.#clearBuffer();
        for (const entry of this.#entries.values())
            entry.id = undefined;
        this.#publish(false);
    }
    /** Subscribes refused queries again, after the node accepted another token. */
    retryRefused() {
        for (const entry of this.#entries.values())
            if (entry.ended && entry.refused)
                this.#subscribe(entry);
        this.#publish(false);
    }
    /** Drops all data, because the user changed. New subscription ids make sure that a frame for the former user is ignored. */
    forget() {
        this.sessionEpoch += 1;
        this.#clearBuffer();
        this.#layers.clear();
        for (const entry of [...this.#lingering])
            this.#remove(entry);
        for (const entry of this.#entries.values()) {
            this.#unsubscribe(entry);
            Object.assign(entry, { loaded: false, base: undefined, version: undefined, updatedAt: undefined, error: undefined });
            this.#subscribe(entry);
        }
        // Listeners of queries without data are notified too: a view may show data that it kept from other arguments.
        this.#publish(true, true);
    }
    transition(frame) {
        this.#bufferedFrames.push(frame);
        for (const mod of frame.mods)
            this.#awaitedIds.delete(mod.id);
        if (this.#awaitedIds.size === 0)
            this.#applyBuffered();
    }
    addLayer(mutation, update) {
        this.#layers.set(mutation, update);
        this.#publish(true);
    }
    dropLayer(mutation) {
        if (this.#layers.delete(mutation))
            this.#publish(true);
    }
    /** Fails the largest subscription without a result, after the node closed the connection over the size of a frame. */
    failLargest() {
        const open = [...this.#byId.values()].filter((entry) => !entry.loaded);
        const largest = open.reduce((most, entry) => (entry.key.length > (most?.key.length ?? 0) ? entry : most), undefined);
        if (!largest)
            return;
        largest.tooLarge = true;
        largest.error = failure([], { code: "PAYLOAD_TOO_LARGE", message: "the arguments are larger than the node accepts" }, trace().id);
    }
    close() {
        this.#closed = true;
        this.#clearBuffer();
        this.#layers.clear();
        for (const entry of this.#entries.values()) {
            clearTimeout(entry.lingerTimer);
            entry.listeners.clear();
        }
        this.#entries.clear();
        this.#lingering.clear();
        this.#byId.clear();
    }
    #handle(key, ref, text) {
        const queries = this;
        const handle = {
            get current() {
                return queries.#entries.get(key)?.current ?? LOADING;
            },
            subscribe: (listener) => queries.#subscribeListener(key, ref, text, handle, listener),
            retry: () => queries.#retry(key),
        };
        return handle;
    }
    #subscribeListener(key, ref, text, handle, listener) {
        if (this.#closed)
            return () => undefined;
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
                tokensSentBefore: 0,
                tooLarge: false,
                answered: false,
                loaded: false,
                base: undefined,
                version: undefined,
                updatedAt: undefined,
                error: undefined,
                current: LOADING,
                lingerTimer: undefined,
            };
            this.#entries.set(key, entry);
            this.#subscribe(entry);
            this.transport.start();
            // Layers apply to queries that are watched later, too.
            if (this.#layers.size > 0 || entry.error)
                this.#publish(true);
        }
        clearTimeout(entry.lingerTimer);
        this.#lingering.delete(entry);
        // A function that subscribes twice is called twice.
        const own = () => listener();
        entry.listeners.add(own);
        return () => {
            if (entry.listeners.delete(own) && entry.listeners.size === 0)
                this.#startLinger(entry);
        };
    }
    #startLinger(entry) {
        this.#lingering.add(entry);
        entry.lingerTimer = setTimeout(() => this.#remove(entry), this.lingerMs);
        const [oldest] = this.#lingering;
        if (oldest && this.#lingering.size > LINGERING_MAX)
            this.#remove(oldest);
    }
    #remove(entry) {
        clearTimeout(entry.lingerTimer);
        this.#lingering.delete(entry);
        this.#entries.delete(entry.key);
        this.#overlay.delete(entry.key);
        this.#unsubscribe(entry);
    }
    #retry(key) {
        const entry = this.#entries.get(key);
        if (!entry || entry.tooLarge)
            return;
        this.#unsubscribe(entry);
        entry.error = undefined;
        this.#subscribe(entry);
        this.#publish(false);
    }
    #subscribe(entry) {
        if (!this.#connected || entry.tooLarge)
            return;
        const [oldest] = this.#lingering;
        if (this.#byId.size >= SUBSCRIBED_MAX && oldest)
            this.#remove(oldest);
        if (this.#byId.size >= SUBSCRIBED_MAX) {
            entry.error = failure([], { code: "OVERLOADED", message: `a page has at most ${SUBSCRIBED_MAX} live queries` }, trace().id);
            return;
        }
        const { ref, args, version } = entry;
        entry.id = this.#idNext++;
        entry.ended = entry.refused = entry.answered = false;
        entry.tokensSentBefore = this.transport.tokensSent;
        this.#byId.set(entry.id, entry);
        this.transport.send({ type: "sub", id: entry.id, name: ref.name, args, ...(version !== undefined && { version }) });
    }
    #unsubscribe(entry) {
        const { id } = entry;
        if (id === undefined)
            return;
        entry.id = undefined;
        this.#byId.delete(id);
        if (!entry.ended)
            this.transport.send({ type: "unsub", id });
        if (this.#awaitedIds.delete(id) && this.#awaitedIds.size === 0)
            this.#applyBuffered();
    }
    #clearBuffer() {
        clearTimeout(this.#resumeTimer);
        this.#awaitedIds.clear();
        this.#bufferedFrames = [];
    }
    /** Applies all buffered transitions, then notifies the listeners. */
    #applyBuffered() {
        const frames = this.#bufferedFrames;
        this.#clearBuffer();
        const applied = [];
        for (const frame of frames) {
            for (const mod of frame.mods)
                this.#apply(mod);
            for (const id of frame.applied)
                if (this.#layers.delete(id))
                    applied.push(id);
        }
        this.onApplied(applied);
        this.#publish(true);
    }
    #apply(mod) {
        const entry = this.#byId.get(mod.id);
        if (!entry)
            return;
        entry.answered = true;
        if (mod.error) {
            const { code } = mod.error;
            entry.ended = ENDING_CODES.includes(code);
            entry.refused = code === "UNAUTHENTICATED" || code === "PERMISSION_DENIED";
            // Another token was sent after this subscription, so the refusal concerns the former token: subscribe again.
            if (entry.refused && entry.tokensSentBefore !== this.transport.tokensSent) {
                this.#unsubscribe(entry);
                return this.#subscribe(entry);
            }
            const shownError = failure(entry.ref.codes, mod.error, trace().id);
            if (code === "UNAUTHENTICATED")
                void this.#resubscribeWithNewToken(entry, mod.id, shownError);
            else
                entry.error = shownError;
            return;
        }
        entry.error = undefined;
        entry.updatedAt = Date.now();
        if (mod.unchanged || (entry.loaded && entry.version === mod.version))
            return;
        entry.base = mod.snapshot;
        entry.version = mod.version;
        entry.loaded = true;
    }
    /** Handles a refused token, which may only have expired: the error is shown when the node refuses another token too. */
    async #resubscribeWithNewToken(entry, id, shownError) {
        if ((await this.transport.replaceRefusedToken()) || entry.id !== id)
            return;
        entry.error = shownError;
        this.#publish(false);
    }
    /** Computes the states anew, and notifies the listeners of those that changed, or all listeners with `notifyUnchanged`. */
    #publish(layersChanged, notifyUnchanged = false) {
        if (layersChanged)
            this.#overlay = this.#layers.size > 0 ? this.#computeOverlay() : new Map();
        const changed = [];
        for (const entry of this.#entries.values()) {
            const next = this.#stateOf(entry);
            const { current } = entry;
            const same = Object.keys(next).every((key) => next[key] === current[key]);
            if (same && !notifyUnchanged)
                continue;
            entry.current = next;
            changed.push(entry);
        }
        notifyAll(changed.flatMap((entry) => [...entry.listeners]));
    }
    #stateOf(entry) {
        const { key, error, updatedAt, version } = entry;
        const overlaid = this.#overlay.has(key);
        const data = overlaid ? this.#overlay.get(key) : entry.base;
        const stamp = { updatedAt, version };
        const hasData = overlaid || entry.loaded;
        const confirmed = this.#connected && entry.answered && !entry.ended;
        if (error)
            return { status: "error", data: hasData ? data : undefined, error, isLoading: false, isStale: hasData, ...stamp };
        if (!hasData)
            return LOADING;
        if (confirmed)
            return { status: "live", data, error: undefined, isLoading: false, isStale: false, ...stamp };
        return { status: "stale", data, error: undefined, isLoading: false, isStale: true, ...stamp };
    }
    #computeOverlay() {
        const overlay = new Map();
        for (const [mutation, update] of this.#layers) {
            // An update that throws is removed with all of its changes.
            const before = new Map(overlay);
            if (runGuarded(() => update(this.#localStore(mutation, overlay))))
                continue;
            this.#layers.delete(mutation);
            overlay.clear();
            for (const [key, value] of before)
                overlay.set(key, value);
        }
        return overlay;
    }
    #localStore(mutation, overlay) {
        let temporary = 0;
        const edit = (key, change) => {
            const entry = this.#entries.get(key);
            if (!overlay.has(key) && !entry?.loaded)
                return;
            const draft = structuredClone(overlay.has(key) ? overlay.get(key) : entry?.base);
            change(draft);
            overlay.set(key, draft);
        };
        const keyOf = (ref, args) => `${ref.name} ${canonical(args)}`;
        return {
            get: (ref, ...[args]) => {
                const key = keyOf(ref, args);
                // The type of the reference is the type of the query's results.
                return (overlay.has(key) ? overlay.get(key) : this.#entries.get(key)?.base);
            },
            set: (ref, args, value) => {
                const key = keyOf(ref, args);
                if (this.#entries.has(key))
                    overlay.set(key, value);
            },
            patch: (ref, args, change) => edit(keyOf(ref, args), change),
            patchAll: (ref, change) => {
                for (const entry of this.#entries.values())
                    if (entry.ref.name === ref.name)
                        edit(entry.key, (draft) => change(draft, entry.args));
            },
            tempId: () => `${TEMPORARY}${mutation}-${++temporary}`,
        };
    }
}
