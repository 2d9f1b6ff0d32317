/**
 * The outbox: mutations whose outcome is not known, or whose effect the live queries do not show yet.
 *
 *   queued ──connected──▶ sent ──mutResult──▶ answered ──applied──▶ done
 *     │ 5 min: OFFLINE      │ 5 min: OUTCOME_UNKNOWN    (a mutation without an optimistic layer is done here)
 *
 * Invariants: the promise of a mutation is settled once; after a reconnect every mutation that is not done is sent again in the same order
 * and under the same idempotency key, so that the node runs it once; a mutation of one user is never sent as another user.
 */
import { idempotencyKey, trace } from "./random.js";
import { failure } from "./result.js";
/** Mutations without an outcome at most; further ones fail with OVERLOADED. */
export const PENDING_MAX = 100;
/** Answered mutations at most whose effect no transition has shown; beyond that the oldest layer is dropped. */
const ANSWERED_MAX = 100;
/** Unanswered mutations of a connection at most; further ones wait here, since a node refuses mutations beyond its own limit. */
const IN_FLIGHT_MAX = 32;
/** Time that a mutation waits for its outcome. */
const PENDING_MS_MAX = 5 * 60_000;
export class Outbox {
    transport;
    layers;
    onChange;
    #mutations = new Map();
    /** Ids of the mutations that were sent on this connection and are not answered. */
    #inFlight = new Set();
    #connection = 0;
    #idNext = 1;
    #unanswered = 0;
    constructor(transport, layers, onChange) {
        this.transport = transport;
        this.layers = layers;
        this.onChange = onChange;
    }
    /** Number of mutations without an outcome. */
    get pending() {
        return this.#unanswered;
    }
    add(name, codes, args, update) {
        const id = this.#idNext++;
        const context = trace();
        if (this.#unanswered >= PENDING_MAX) {
            const message = `${PENDING_MAX} mutations already wait for their outcome`;
            return Promise.resolve({ ok: false, error: failure(codes, { code: "OVERLOADED", message }, context.id) });
        }
        return new Promise((settle) => {
            const pending = {
                id,
                name,
                codes,
                args: JSON.stringify(args ?? {}),
                idem: idempotencyKey(),
                trace: context,
                settle,
                layered: update !== undefined,
                sentOn: 0,
                tokenReplaced: false,
                timer: setTimeout(() => this.#expire(pending), PENDING_MS_MAX),
            };
            this.#mutations.set(id, pending);
            this.#unanswered += 1;
            if (update)
                this.layers.addLayer(id, update);
            this.transport.start();
            this.#send();
            this.onChange();
        });
    }
    /** Sends all mutations that are not done on the new connection. */
    connected() {
        this.#inFlight.clear();
        this.#connection += 1;
        this.#send();
    }
    handleResult({ id, ...answer }) {
        const pending = this.#mutations.get(id);
        this.#inFlight.delete(id);
        this.#send();
        // The outcome of a mutation that was sent twice arrives twice; the second one is ignored.
        if (!pending?.settle)
            return;
        if (answer.error?.code === "UNAUTHENTICATED" && !pending.tokenReplaced)
            void this.#sendWithNewToken(pending, answer.error);
        else if (answer.error)
            this.#fail(pending, answer.error);
        else
            this.#answer(pending, { ok: true, data: "data" in answer ? answer.data : null });
    }
    /** Marks mutations whose effect the results of the live queries now contain. */
    markApplied(mutations) {
        for (const id of mutations) {
            const pending = this.#mutations.get(id);
            if (!pending)
                continue;
            pending.layered = false;
            if (!pending.settle)
                this.#mutations.delete(id);
        }
    }
    /** Fails all mutations, because another user signed in or the client was closed. */
    abandon(message) {
        for (const pending of [...this.#mutations.values()]) {
            if (pending.settle)
                this.#fail(pending, pending.sentOn ? { code: "OUTCOME_UNKNOWN", message } : { code: "CANCELLED", message });
            this.#mutations.delete(pending.id);
        }
    }
    /**
     * Fails the largest mutation that was sent, after the node closed the connection over the size of a frame: sent again, that mutation
     * would close the next connection too. Returns false when no mutation was sent.
     */
    failLargest() {
        const sent = [...this.#mutations.values()].filter((pending) => pending.settle && pending.sentOn);
        const largest = sent.reduce((most, one) => (one.args.length > (most?.args.length ?? 0) ? one : most), undefined);
        if (largest)
            this.#fail(largest, { code: "PAYLOAD_TOO_LARGE", message: "the arguments are larger than the node accepts" });
        return largest !== undefined;
    }
    /** Sends waiting mutations in order, as far as `IN_FLIGHT_MAX` allows. */
    #send() {
        for (const pending of this.#mutations.values()) {
            if (this.#inFlight.size >= IN_FLIGHT_MAX)
                return;
            if (pending.sentOn === this.#connection)
                continue;
            const { id, name, idem } = pending;
            const args = JSON.parse(pending.args);
            if (!this.transport.send({ type: "mut", id, name, args, idem, trace: pending.trace.parent }))
                return;
            pending.sentOn = this.#connection;
            this.#inFlight.add(id);
        }
    }
    /** Handles a refused token, which may only have expired: the mutation did not run, so it is sent again with another token. */
    async #sendWithNewToken(pending, error) {
        pending.tokenReplaced = true;
        const renewed = await this.transport.replaceRefusedToken();
        if (!pending.settle)
            return;
        if (renewed) {
            pending.sentOn = -1;
            this.#send();
        }
        else {
            this.#fail(pending, error);
        }
    }
    #expire(pending) {
        const message = "there was no connection for five minutes";
        if (pending.sentOn)
            this.#fail(pending, { code: "OUTCOME_UNKNOWN", message: `${message} to receive the outcome` });
        else
            this.#fail(pending, { code: "OFFLINE", message: `${message}; the mutation was not sent` });
    }
    #fail(pending, error) {
        this.#mutations.delete(pending.id);
        this.#inFlight.delete(pending.id);
        if (pending.layered)
            this.layers.dropLayer(pending.id);
        this.#answer(pending, { ok: false, error: failure(pending.codes, error, pending.trace.id) });
    }
    #answer(pending, result) {
        const { settle } = pending;
        clearTimeout(pending.timer);
        pending.settle = undefined;
        this.#unanswered -= 1;
        if (!pending.layered)
            this.#mutations.delete(pending.id);
        this.#dropOldestLayer();
        settle?.(result);
        this.onChange();
    }
    #dropOldestLayer() {
        const answered = [...this.#mutations.values()].filter((pending) => !pending.settle);
        const [oldest] = answered;
        if (!oldest || answered.length <= ANSWERED_MAX)
            return;
        this.#mutations.delete(oldest.id);
        this.layers.dropLayer(oldest.id);
    }
}
