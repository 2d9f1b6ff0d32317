/**
 * References to the handlers of an application. The generated `api.ts` is made of them: at run time a name, to the compiler the types of
 * its arguments, its result and its errors.
 */
declare const types: unique symbol;
/** What all three kinds have in common. */
interface Ref<Kind extends string, Args, Output, AppError> {
    readonly kind: Kind;
    /** The name on the wire. */
    readonly name: string;
    /** The handler's own error codes: what arrives under another code is a system error. */
    readonly codes: readonly string[];
    /** Only for the compiler; it is never set. */
    readonly [types]?: (args: Args) => [Output, AppError];
}
export type QueryRef<Args, Output, AppError = never> = Ref<"query", Args, Output, AppError>;
export type MutationRef<Args, Output, AppError = never> = Ref<"mutation", Args, Output, AppError>;
export type ActionRef<Args, Output, AppError = never> = Ref<"action", Args, Output, AppError>;
export type AnyRef<Args, Output, AppError = never> = QueryRef<Args, Output, AppError> | MutationRef<Args, Output, AppError> | ActionRef<Args, Output, AppError>;
/** The arguments of a call, and what may follow them; they may be left out where every one of them may. */
export type Params<Args, Rest extends unknown[] = []> = {} extends Args ? [args?: NoInfer<Args>, ...Rest] : [args: NoInfer<Args>, ...Rest];
export declare const query: <Args, Output, AppError = never>(name: string, codes?: readonly string[]) => QueryRef<Args, Output, AppError>;
export declare const mutation: <Args, Output, AppError = never>(name: string, codes?: readonly string[]) => MutationRef<Args, Output, AppError>;
export declare const action: <Args, Output, AppError = never>(name: string, codes?: readonly string[]) => ActionRef<Args, Output, AppError>;
/** JSON with sorted keys and without what is `undefined`: equal arguments have equal texts. */
export declare function canonical(args: unknown): string;
export {};
