/**
 * References to the handlers of an application, of which the generated `api.ts` consists. A reference is a name at run time, and carries
 * the types of the handler's arguments, result and errors for the compiler.
 */
declare const types: unique symbol;
/** The fields that the three kinds of references share. */
interface Ref<Kind extends string, Args, Output, AppError> {
    readonly kind: Kind;
    /** The name on the wire. */
    readonly name: string;
    /** The handler's own error codes. An error with another code is a system error. */
    readonly codes: readonly string[];
    /** Never set: it carries the types for the compiler. */
    readonly [types]?: (args: Args) => [Output, AppError];
}
export type QueryRef<Args, Output, AppError = never> = Ref<"query", Args, Output, AppError>;
export type MutationRef<Args, Output, AppError = never> = Ref<"mutation", Args, Output, AppError>;
export type ActionRef<Args, Output, AppError = never> = Ref<"action", Args, Output, AppError>;
export type AnyRef<Args, Output, AppError = never> = QueryRef<Args, Output, AppError> | MutationRef<Args, Output, AppError> | ActionRef<Args, Output, AppError>;
/** The parameters of a call: its arguments, then `Rest`. The arguments may be omitted when all of their fields are optional. */
export type Params<Args, Rest extends unknown[] = []> = {} extends Args ? [args?: NoInfer<Args>, ...Rest] : [args: NoInfer<Args>, ...Rest];
export declare const query: <Args, Output, AppError = never>(name: string, codes?: readonly string[]) => QueryRef<Args, Output, AppError>;
export declare const mutation: <Args, Output, AppError = never>(name: string, codes?: readonly string[]) => MutationRef<Args, Output, AppError>;
export declare const action: <Args, Output, AppError = never>(name: string, codes?: readonly string[]) => ActionRef<Args, Output, AppError>;
/** JSON with sorted keys and without `undefined` fields, so that equal arguments have equal texts. */
export declare function canonical(args: unknown): string;
export {};
