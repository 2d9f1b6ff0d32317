/**
 * The token, and how it is had from the application.
 *
 * One fetch at a time, however many ask; a fetch that hangs is given up after ten seconds and a late answer of it is ignored. A fetch that
 * was overtaken by a sign-out or another sign-in is rejected.
 */
/** Tells the token of who is signed in, or `null`. `forceRefresh` means that the last one has expired or was refused. */
export type GetToken = (options: {
    forceRefresh: boolean;
}) => string | null | undefined | Promise<string | null | undefined>;
export declare class Tokens {
    #private;
    private readonly getToken;
    /** `undefined` until the application was asked. */
    current: string | null | undefined;
    /** Grows with each sign-in and sign-out. */
    era: number;
    constructor(getToken: GetToken | undefined);
    /** Whether a refused token can be replaced. */
    get renewable(): boolean;
    /** Asks the application, or joins a fetch that is under way and no weaker than this one. */
    get(force: boolean): Promise<string | null>;
    /** The application has another token, or none. */
    forget(signedOut: boolean): void;
}
