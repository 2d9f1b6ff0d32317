/**
 * The token of the signed-in user, which the application's `getToken` provides.
 *
 * Invariants: at most one fetch runs at a time, and all callers share it; a fetch that takes longer than ten seconds fails, and its late
 * token is ignored; a fetch during which the user signed out or in again fails.
 */
const FETCH_MS_MAX = 10_000;
export class Tokens {
    getToken;
    /** The last token; `undefined` before the first fetch. */
    current;
    #fetch;
    #signedOut = false;
    /** Grows with each sign-in and sign-out, so that a fetch of before can be recognized. */
    signInEpoch = 0;
    constructor(getToken) {
        this.getToken = getToken;
    }
    /** Whether another token can be fetched in place of a refused one. */
    get renewable() {
        return this.getToken !== undefined && !this.#signedOut;
    }
    /** Fetches a token, or joins the running fetch; a forced fetch does not join one that is not forced. */
    get(force) {
        if (!this.renewable)
            return Promise.resolve(null);
        if (this.#fetch && (this.#fetch.force || !force))
            return this.#fetch.promise;
        const fetch = { promise: this.#fetchToken(force, this.signInEpoch), force };
        const done = () => {
            if (this.#fetch === fetch)
                this.#fetch = undefined;
        };
        fetch.promise.then(done, done);
        this.#fetch = fetch;
        return fetch.promise;
    }
    /** Drops the token, because the user signed out or another one signed in. */
    forget(signedOut) {
        this.signInEpoch += 1;
        this.#fetch = undefined;
        this.#signedOut = signedOut;
        this.current = signedOut ? null : undefined;
    }
    async #fetchToken(forceRefresh, signInEpoch) {
        let timer;
        const late = new Promise((_, reject) => {
            timer = setTimeout(() => reject(new Error("getToken took longer than 10 s")), FETCH_MS_MAX);
        });
        try {
            // `async`, so that an error that `getToken` throws synchronously becomes a rejection too.
            const asked = (async () => this.getToken?.({ forceRefresh }))();
            const token = (await Promise.race([asked, late])) ?? null;
            if (signInEpoch !== this.signInEpoch)
                throw new Error("the user signed out or in again during the fetch");
            this.current = token;
            return token;
        }
        finally {
            clearTimeout(timer);
        }
    }
}
