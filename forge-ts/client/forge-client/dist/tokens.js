/**
 * The token, and how it is had from the application.
 *
 * One fetch at a time, however many ask; a fetch that hangs is given up after ten seconds and a late answer of it is ignored. A fetch that
 * was overtaken by a sign-out or another sign-in is rejected.
 */
const FETCH_MS_MAX = 10_000;
export class Tokens {
    getToken;
    /** `undefined` until the application was asked. */
    current;
    #fetch;
    #signedOut = false;
    /** Grows with each sign-in and sign-out. */
    era = 0;
    constructor(getToken) {
        this.getToken = getToken;
    }
    /** Whether a refused token can be replaced. */
    get renewable() {
        return this.getToken !== undefined && !this.#signedOut;
    }
    /** Asks the application, or joins a fetch that is under way and no weaker than this one. */
    get(force) {
        if (!this.renewable)
            return Promise.resolve(null);
        if (this.#fetch && (this.#fetch.force || !force))
            return this.#fetch.promise;
        const fetch = { promise: this.#ask(force, this.era), force };
        const done = () => {
            if (this.#fetch === fetch)
                this.#fetch = undefined;
        };
        fetch.promise.then(done, done);
        this.#fetch = fetch;
        return fetch.promise;
    }
    /** The application has another token, or none. */
    forget(signedOut) {
        this.era += 1;
        this.#fetch = undefined;
        this.#signedOut = signedOut;
        this.current = signedOut ? null : undefined;
    }
    async #ask(forceRefresh, era) {
        let timer;
        const late = new Promise((_, reject) => {
            timer = setTimeout(() => reject(new Error("getToken took longer than 10 s")), FETCH_MS_MAX);
        });
        try {
            // `async` so that what it throws at once is a rejection too.
            const asked = (async () => this.getToken?.({ forceRefresh }))();
            const token = (await Promise.race([asked, late])) ?? null;
            if (era !== this.era)
                throw new Error("somebody else signed in meanwhile");
            this.current = token;
            return token;
        }
        finally {
            clearTimeout(timer);
        }
    }
}
