/**
 * References to the handlers of an application, of which the generated `api.ts` consists. A reference is a name at run time, and carries
 * the types of the handler's arguments, result and errors for the compiler.
 */
export const query = (name, codes = []) => ({
    kind: "query",
    name,
    codes,
});
export const mutation = (name, codes = []) => ({ kind: "mutation", name, codes });
export const action = (name, codes = []) => ({
    kind: "action",
    name,
    codes,
});
/** JSON with sorted keys and without `undefined` fields, so that equal arguments have equal texts. */
export function canonical(args) {
    return JSON.stringify(args ?? {}, (_, value) => value && typeof value === "object" && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
        : value);
}
