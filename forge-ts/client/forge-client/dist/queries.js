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
import { trace } from "./random.js";
import { canonical } from "./ref.js";
import { failure } from "./result.js";
import { guarded, tell } from "./store.js";
const TEMPORARY = "temporary-";
/** Whether an identifier came from `tempId`: what it names is shown before the node knows it. */
export const isTemporary = (id) => id.startsWith(TEMPORARY);
/** Subscriptions that nobody listens to any more; the oldest ends when there are more. */
const LINGERING_MAX = 50;
/** Subscriptions of a connection; more are not made, since a node ends the connection over them. */
const SUBSCRIBED_MAX = 256;
/** After a reconnect, how long a slow query may hold back what the others have to show. */
const RESUME_MS_MAX = 5_000;
/** The node ends a subscription with these. */
const ENDING = ["NOT_FOUND", "UNAUTHENTICATED", "PERMISSION_DENIED", "VALIDATION"];
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
    wire;
    lingerMs;
    onApplied;
    /** Grows whenever data are forgotten because somebody else is signed in. */
    era = 0;
    #entries = new Map();
    #byId = new Map();
    #layers = new Map();
    #overlay = new Map();
    #lingering = new Set();
    #live = false;
    #idNext = 1;
    #closed = false;
    /** Subscriptions that a reconnect has renewed and that are not answered yet, and what came meanwhile. */
    #awaited = new Set();
    #held = [];
    #resume;
    constructor(wire, lingerMs, 
    /** Layers whose mutations the node has shown. */
    onApplied) {
        this.wire = wire;
        this.lingerMs = lingerMs;
        this.onApplied = onApplied;
    }
    watch(ref, args) {
        const text = canonical(args);
        const key = `${ref.name} ${text}`;
        return this.#entries.get(key)?.handle ?? this.#handle(key, ref, text);
    }
    /** Connected: everything that somebody listens to is asked for again, from the version that is here. */
    resume() {
        this.#live = true;
        for (const entry of [...this.#lingering])
            this.#remove(entry);
        for (const entry of this.#entries.values()) {
            this.#subscribe(entry);
            if (entry.id !== undefined && entry.loaded)
                this.#awaited.add(entry.id);
        }
        if (this.#awaited.size > 0)
            this.#resume = setTimeout(() => this.#release(), RESUME_MS_MAX);
        this.#show(false);
    }
    lost() {
        this.#live = false;
        this.#byId.clear();
        this.#unhold();
        for (const entry of this.#entries.values())
            entry.id = undefined;
        this.#show(false);
    }
    /** Another token counts: what was refused may be allowed now. */
    reconsider() {
        for (const entry of this.#entries.values())
            if (entry.ended && entry.refused)
                this.#subscribe(entry);
        this.#show(false);
    }
    /** Somebody else is signed in, or nobody: nothing of before may be seen again, not even a frame that is on its way. */
    forget() {
        this.era += 1;
        this.#unhold();
        this.#layers.clear();
        for (const entry of [...this.#lingering])
            this.#remove(entry);
        for (const entry of this.#entries.values()) {
            this.#unsubscribe(entry);
            Object.assign(entry, { loaded: false, base: undefined, version: undefined, updatedAt: undefined, error: undefined });
            this.#subscribe(entry);
        }
        // Also who saw nothing yet: a view may have kept what it saw before.
        this.#show(true, true);
    }
    transition(frame) {
        this.#held.push(frame);
        for (const mod of frame.mods)
            this.#awaited.delete(mod.id);
        if (this.#awaited.size === 0)
            this.#release();
    }
    addLayer(mutation, update) {
        this.#layers.set(mutation, update);
        this.#show(true);
    }
    dropLayer(mutation) {
        if (this.#layers.delete(mutation))
            this.#show(true);
    }
    /** The largest request that could have been refused for its size. */
    tooLarge() {
        const open = [...this.#byId.values()].filter((entry) => !entry.loaded);
        const largest = open.reduce((most, entry) => (entry.key.length > (most?.key.length ?? 0) ? entry : most), undefined);
        if (!largest)
            return;
        largest.oversize = true;
        largest.error = failure([], { code: "PAYLOAD_TOO_LARGE", message: "the arguments are larger than the node accepts" }, trace().id);
    }
    close() {
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
    #handle(key, ref, text) {
        const queries = this;
        const handle = {
            get current() {
                return queries.#entries.get(key)?.current ?? LOADING;
            },
            subscribe: (listener) => queries.#listen(key, ref, text, handle, listener),
            retry: () => queries.#retry(key),
        };
        return handle;
    }
    #listen(key, ref, text, handle, listener) {
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
            if (this.#layers.size > 0 || entry.error)
                this.#show(true);
        }
        clearTimeout(entry.linger);
        this.#lingering.delete(entry);
        // Each subscription is its own, even of one function.
        const own = () => listener();
        entry.listeners.add(own);
        return () => {
            if (entry.listeners.delete(own) && entry.listeners.size === 0)
                this.#leave(entry);
        };
    }
    #leave(entry) {
        this.#lingering.add(entry);
        entry.linger = setTimeout(() => this.#remove(entry), this.lingerMs);
        const [oldest] = this.#lingering;
        if (oldest && this.#lingering.size > LINGERING_MAX)
            this.#remove(oldest);
    }
    #remove(entry) {
        clearTimeout(entry.linger);
        this.#lingering.delete(entry);
        this.#entries.delete(entry.key);
        this.#overlay.delete(entry.key);
        this.#unsubscribe(entry);
    }
    #retry(key) {
        const entry = this.#entries.get(key);
        if (!entry || entry.oversize)
            return;
        this.#unsubscribe(entry);
        entry.error = undefined;
        this.#subscribe(entry);
        this.#show(false);
    }
    #subscribe(entry) {
        if (!this.#live || entry.oversize)
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
        entry.askedWith = this.wire.tokensTold;
        this.#byId.set(entry.id, entry);
        this.wire.send({ type: "sub", id: entry.id, name: ref.name, args, ...(version !== undefined && { version }) });
    }
    #unsubscribe(entry) {
        const { id } = entry;
        if (id === undefined)
            return;
        entry.id = undefined;
        this.#byId.delete(id);
        if (!entry.ended)
            this.wire.send({ type: "unsub", id });
        if (this.#awaited.delete(id) && this.#awaited.size === 0)
            this.#release();
    }
    #unhold() {
        clearTimeout(this.#resume);
        this.#awaited.clear();
        this.#held = [];
    }
    /** Puts everything that was held in place, and then shows it. */
    #release() {
        const held = this.#held;
        this.#unhold();
        const applied = [];
        for (const frame of held) {
            for (const mod of frame.mods)
                this.#apply(mod);
            for (const id of frame.applied)
                if (this.#layers.delete(id))
                    applied.push(id);
        }
        this.onApplied(applied);
        this.#show(true);
    }
    #apply(mod) {
        const entry = this.#byId.get(mod.id);
        if (!entry)
            return;
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
            const told = failure(entry.ref.codes, mod.error, trace().id);
            if (code === "UNAUTHENTICATED")
                void this.#challenge(entry, mod.id, told);
            else
                entry.error = told;
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
    /** The token may only have expired: the error is shown when another one does not help. */
    async #challenge(entry, id, told) {
        if ((await this.wire.challenge()) || entry.id !== id)
            return;
        entry.error = told;
        this.#show(false);
    }
    /** Computes what is seen, and tells who sees something else than before. */
    #show(layered, everyone = false) {
        if (layered)
            this.#overlay = this.#layers.size > 0 ? this.#computeOverlay() : new Map();
        const changed = [];
        for (const entry of this.#entries.values()) {
            const next = this.#seen(entry);
            const { current } = entry;
            const same = Object.keys(next).every((key) => next[key] === current[key]);
            if (same && !everyone)
                continue;
            entry.current = next;
            changed.push(entry);
        }
        tell(changed.flatMap((entry) => [...entry.listeners]));
    }
    #seen(entry) {
        const { key, error, updatedAt, version } = entry;
        const laid = this.#overlay.has(key);
        const data = laid ? this.#overlay.get(key) : entry.base;
        const stamp = { updatedAt, version };
        const has = laid || entry.loaded;
        const confirmed = this.#live && entry.answered && !entry.ended;
        if (error)
            return { status: "error", data: has ? data : undefined, error, isLoading: false, isStale: has, ...stamp };
        if (!has)
            return LOADING;
        if (confirmed)
            return { status: "live", data, error: undefined, isLoading: false, isStale: false, ...stamp };
        return { status: "stale", data, error: undefined, isLoading: false, isStale: true, ...stamp };
    }
    #computeOverlay() {
        const overlay = new Map();
        for (const [mutation, update] of this.#layers) {
            // An update that throws is taken out whole: half of one must not be seen.
            const before = new Map(overlay);
            if (guarded(() => update(this.#local(mutation, overlay))))
                continue;
            this.#layers.delete(mutation);
            overlay.clear();
            for (const [key, value] of before)
                overlay.set(key, value);
        }
        return overlay;
    }
    #local(mutation, overlay) {
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
                // The reference says what the name's results are.
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
