/** Calls over HTTP: one request, one answer. Only what certainly did not run is repeated, and only once: a call whose token was refused. */
import { trace } from "./random.js";
import { failure } from "./result.js";
/** Longer than any time limit of a handler should be. */
const CALL_MS_MAX = 120_000;
export class Http {
    base;
    tokens;
    fetch;
    constructor(base, tokens, fetch) {
        this.base = base;
        this.tokens = tokens;
        this.fetch = fetch;
    }
    async call(ref, args, { signal }) {
        const { id, parent } = trace();
        const refused = (error) => ({ ok: false, error: failure(ref.codes, error, id) });
        let token;
        try {
            token = this.tokens.current ?? (await this.tokens.get(false));
        }
        catch (cause) {
            return refused({ code: "UNAUTHENTICATED", message: `no token could be had: ${String(cause)}` });
        }
        for (let repeated = false;; repeated = true) {
            const answer = await this.#post(ref, JSON.stringify(args ?? {}), token, parent, signal);
            if (!("error" in answer))
                return { ok: true, data: answer.data };
            const { error } = answer;
            if (error.code !== "UNAUTHENTICATED" || ref.codes.includes(error.code) || repeated || token === null)
                return refused(error);
            try {
                token = await this.tokens.get(true);
            }
            catch {
                return refused(error);
            }
        }
    }
    async #post(ref, body, token, traceparent, signal) {
        const limit = AbortSignal.timeout(CALL_MS_MAX);
        const headers = { "content-type": "application/json", traceparent, ...(token !== null && { authorization: `Bearer ${token}` }) };
        const init = { method: "POST", headers, body, signal: signal ? AbortSignal.any([signal, limit]) : limit };
        try {
            const response = await this.fetch(new URL(`rpc/${ref.name}`, this.base), init);
            const answer = await response.json();
            if (typeof answer === "object" && answer && ("data" in answer || "error" in answer)) {
                return answer;
            }
            return { error: this.#lost(ref, `the answer (status ${response.status}) is not one of a Forge node`) };
        }
        catch (cause) {
            if (signal?.aborted)
                return { error: { code: "CANCELLED", message: "the call was given up" } };
            if (globalThis.navigator?.onLine === false)
                return { error: { code: "OFFLINE", message: "there is no network" } };
            return { error: this.#lost(ref, String(cause)) };
        }
    }
    /** A query changed nothing; whether anything else ran cannot be known. */
    #lost(ref, message) {
        return { code: ref.kind === "query" ? "UNAVAILABLE" : "OUTCOME_UNKNOWN", message };
    }
}
