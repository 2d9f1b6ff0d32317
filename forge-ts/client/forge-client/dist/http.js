/**
 * Calls over HTTP: one request, one response. A call is repeated only when its token was refused, once and with another token: such a
 * call certainly did not run.
 */
import { trace } from "./random.js";
import { failure } from "./result.js";
/** Time limit of a request, above any time limit that a handler should have. */
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
            return refused({ code: "UNAUTHENTICATED", message: `no token could be fetched: ${String(cause)}` });
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
            return { error: this.#unanswered(ref, `the response (status ${response.status}) does not come from a Forge node`) };
        }
        catch (cause) {
            if (signal?.aborted)
                return { error: { code: "CANCELLED", message: "the caller aborted the call" } };
            if (globalThis.navigator?.onLine === false)
                return { error: { code: "OFFLINE", message: "the browser is offline" } };
            return { error: this.#unanswered(ref, String(cause)) };
        }
    }
    /** The error of a call without a readable response. A query changed nothing and is `UNAVAILABLE`; any other call may have run. */
    #unanswered(ref, message) {
        return { code: ref.kind === "query" ? "UNAVAILABLE" : "OUTCOME_UNKNOWN", message };
    }
}
