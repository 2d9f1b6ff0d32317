/**
 * The client: one connection for everything that is live, HTTP for single calls.
 *
 * `watch` and `mutate` open the connection when they are first used. `mutate` always travels on it: it is kept while there is none, is
 * sent again after one broke, and happens once. `call` is one HTTP request, which is never repeated behind the caller's back.
 */
import { Http } from "./http.js";
import { Link } from "./link.js";
import { Outbox } from "./outbox.js";
import { Queries } from "./queries.js";
import { failure } from "./result.js";
import { Tokens } from "./tokens.js";
import { trace } from "./random.js";
const LINGER_MS = 5_000;
export function createForge(options) {
    const base = new URL(options.url, globalThis.location?.href);
    if (!base.pathname.endsWith("/"))
        base.pathname += "/";
    const socketUrl = new URL("ws", base);
    socketUrl.protocol = base.protocol.replace("http", "ws");
    const tokens = new Tokens(options.getToken);
    const http = new Http(base, tokens, options.fetch ?? ((...request) => globalThis.fetch(...request)));
    let closed = false;
    const passengers = {
        live(changed) {
            if (changed)
                forget();
            queries.resume();
            outbox.resume();
        },
        lost: () => queries.lost(),
        identified(changed) {
            if (changed)
                forget();
            else
                queries.reconsider();
        },
        tooLarge() {
            if (!outbox.tooLarge())
                queries.tooLarge();
        },
        frame(frame) {
            if (frame.type === "transition")
                queries.transition(frame);
            else if (frame.type === "mutResult")
                outbox.result(frame);
        },
        pending: () => outbox.pending,
    };
    const link = new Link({
        url: socketUrl,
        contract: options.contract,
        tokens,
        WebSocket: options.WebSocket ?? globalThis.WebSocket,
        passengers,
    });
    const queries = new Queries(link, options.lingerMs ?? LINGER_MS, (mutations) => outbox.applied(mutations));
    const outbox = new Outbox(link, queries, () => link.publish());
    const forget = () => {
        outbox.abandon("somebody else is signed in now");
        queries.forget();
    };
    const cancelled = (ref) => ({
        ok: false,
        error: failure(ref.codes, { code: "CANCELLED", message: "the client is closed" }, trace().id),
    });
    // The references carry the types of what travels under their names; inside, all of them are unknown.
    return {
        call: (ref, args, call = {}) => (closed ? Promise.resolve(cancelled(ref)) : http.call(ref, args, call)),
        mutate: (ref, args, { optimistic } = {}) => {
            const update = optimistic && ((store) => optimistic(store, args));
            return (closed ? Promise.resolve(cancelled(ref)) : outbox.add(ref.name, ref.codes, args, update));
        },
        watch: (ref, args) => queries.watch(ref, args),
        connection: link,
        get era() {
            return queries.era;
        },
        connect: () => link.start(),
        authenticate: () => link.identify(false),
        signOut() {
            link.identify(true);
            forget();
        },
        close() {
            if (closed)
                return;
            closed = true;
            outbox.abandon("the client is closed");
            link.close();
            queries.close();
        },
    };
}
