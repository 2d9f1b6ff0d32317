/**
 * Mutations on their way.
 *
 *   queued ──connected──▶ sent ──mutResult──▶ answered ──applied──▶ done
 *     │ 5 min: OFFLINE      │ 5 min: OUTCOME_UNKNOWN    (only with a layer: without one, answered is done)
 *
 * Invariants: the promise is settled once; after a reconnect everything that is not done is sent again under the same key, in the same
 * order, so that it happens once however often it travels; what one person asked for is never sent as another.
 */
import { idempotencyKey, trace } from "./random.js";
import { failure } from "./result.js";
/** Mutations without an outcome; more are refused as OVERLOADED. */
export const PENDING_MAX = 100;
/** Answered mutations whose layers the node has not yet shown; the oldest layer falls when there are more. */
const ANSWERED_MAX = 100;
/** Mutations on the connection without an answer; the others wait, since a node refuses more than it lets wait for their turn. */
const FLIGHT_MAX = 32;
const PENDING_MS_MAX = 5 * 60_000;
export class Outbox {
    wire;
    layers;
    onChange;
    #open = new Map();
    /** On this connection, and not answered there. */
    #flight = new Set();
    #connection = 0;
    #idNext = 1;
    #unanswered = 0;
    constructor(wire, layers, onChange) {
        this.wire = wire;
        this.layers = layers;
        this.onChange = onChange;
    }
    /** Mutations without an outcome. */
    get pending() {
        return this.#unanswered;
    }
    add(name, codes, args, update) {
        const id = this.#idNext++;
        const context = trace();
        if (this.#unanswered >= PENDING_MAX) {
            const message = `${PENDING_MAX} mutations wait for their outcome already`;
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
                challenged: false,
                timer: setTimeout(() => this.#giveUp(pending), PENDING_MS_MAX),
            };
            this.#open.set(id, pending);
            this.#unanswered += 1;
            if (update)
                this.layers.addLayer(id, update);
            this.wire.start();
            this.#send();
            this.onChange();
        });
    }
    /** Connected. */
    resume() {
        this.#flight.clear();
        this.#connection += 1;
        this.#send();
    }
    result({ id, ...answer }) {
        const pending = this.#open.get(id);
        this.#flight.delete(id);
        this.#send();
        // A repeat's answer was heard already.
        if (!pending?.settle)
            return;
        if (answer.error?.code === "UNAUTHENTICATED" && !pending.challenged)
            void this.#challenge(pending, answer.error);
        else if (answer.error)
            this.#fail(pending, answer.error);
        else
            this.#answer(pending, { ok: true, data: "data" in answer ? answer.data : null });
    }
    /** The node's results contain these. */
    applied(mutations) {
        for (const id of mutations) {
            const pending = this.#open.get(id);
            if (!pending)
                continue;
            pending.layered = false;
            if (!pending.settle)
                this.#open.delete(id);
        }
    }
    /** Nothing of it is sent any more: somebody else is signed in, or the client is closed. */
    abandon(message) {
        for (const pending of [...this.#open.values()]) {
            if (pending.settle)
                this.#fail(pending, pending.sentOn ? { code: "OUTCOME_UNKNOWN", message } : { code: "CANCELLED", message });
            this.#open.delete(pending.id);
        }
    }
    /** The connection ended over a frame that was too large: it would again. */
    tooLarge() {
        const open = [...this.#open.values()].filter((pending) => pending.settle && pending.sentOn);
        const largest = open.reduce((most, one) => (one.args.length > (most?.args.length ?? 0) ? one : most), undefined);
        if (largest)
            this.#fail(largest, { code: "PAYLOAD_TOO_LARGE", message: "the arguments are larger than the node accepts" });
        return largest !== undefined;
    }
    /** Sends what is next, in order, as far as there is room. */
    #send() {
        for (const pending of this.#open.values()) {
            if (this.#flight.size >= FLIGHT_MAX)
                return;
            if (pending.sentOn === this.#connection)
                continue;
            const { id, name, idem } = pending;
            const args = JSON.parse(pending.args);
            if (!this.wire.send({ type: "mut", id, name, args, idem, trace: pending.trace.parent }))
                return;
            pending.sentOn = this.#connection;
            this.#flight.add(id);
        }
    }
    /** The token may only have expired; the mutation did not run, so it is sent again with another one. */
    async #challenge(pending, error) {
        pending.challenged = true;
        const renewed = await this.wire.challenge();
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
    #giveUp(pending) {
        const message = "there was no connection for five minutes";
        if (pending.sentOn)
            this.#fail(pending, { code: "OUTCOME_UNKNOWN", message: `${message} to hear the outcome on` });
        else
            this.#fail(pending, { code: "OFFLINE", message: `${message}; the mutation was not sent` });
    }
    #fail(pending, error) {
        this.#open.delete(pending.id);
        this.#flight.delete(pending.id);
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
            this.#open.delete(pending.id);
        this.#bound();
        settle?.(result);
        this.onChange();
    }
    #bound() {
        const answered = [...this.#open.values()].filter((pending) => !pending.settle);
        const [oldest] = answered;
        if (!oldest || answered.length <= ANSWERED_MAX)
            return;
        this.#open.delete(oldest.id);
        this.layers.dropLayer(oldest.id);
    }
}
