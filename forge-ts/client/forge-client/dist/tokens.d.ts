/**
 * The token of the signed-in user, which the application's `getToken` provides.
 *
 * Invariants: at most one fetch runs at a time, and all callers share it; a fetch that takes longer than ten seconds fails, and its late
 * token is ignored; a fetch during which the user signed out or in again fails.
 */
/** Returns the token of the signed-in user, or `null`. `forceRefresh`: the last token has expired, or the node refused it. */
export type GetToken = (options: {
    forceRefresh: boolean;
}) => string | null | undefined | Promise<string | null | undefined>;
export declare class Tokens {
    #private;
    private readonly getToken;
    /** The last token; `undefined` before the first fetch. */
    current: string | null | undefined;
    /** Grows with each sign-in and sign-out, so that a fetch of before can be recognized. */
    signInEpoch: number;
    constructor(getToken: GetToken | undefined);
    /** Whether another token can be fetched in place of a refused one. */
    get renewable(): boolean;
    /** Fetches a token, or joins the running fetch; a forced fetch does not join one that is not forced. */
    get(force: boolean): Promise<string | null>;
    /** Drops the token, because the user signed out or another one signed in. */
    forget(signedOut: boolean): void;
}
