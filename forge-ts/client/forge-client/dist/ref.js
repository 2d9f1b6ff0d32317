/**
 * References to the handlers of an application. The generated `api.ts` is made of them: at run time a name, to the compiler the types of
 * its arguments, its result and its errors.
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
/** JSON with sorted keys and without what is `undefined`: equal arguments have equal texts. */
export function canonical(args) {
    return JSON.stringify(args ?? {}, (_, value) => value && typeof value === "object" && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
        : value);
}
