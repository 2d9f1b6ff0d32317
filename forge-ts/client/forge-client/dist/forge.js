/**
 * The client: one WebSocket connection for live queries and mutations, HTTP for single calls.
 *
 * The first `watch` or `mutate` opens the connection. A mutation waits while there is no connection and is sent again when the connection
 * broke; the node runs it once. `call` is one HTTP request, which is repeated only when its token was refused.
 */
import { watchFollowed } from "./followed.js";
import { Http } from "./http.js";
import { cancelMyJob, jobStatus, NO_JOB } from "./jobs.js";
import { Link } from "./link.js";
import { Outbox } from "./outbox.js";
import { Queries } from "./queries.js";
import { failure } from "./result.js";
import { Tokens } from "./tokens.js";
import { trace } from "./random.js";
import { cancelMyWorkflow, NO_RUN, workflowStatus } from "./workflows.js";
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
    const listener = {
        connected(userChanged) {
            if (userChanged)
                forget();
            queries.connected();
            outbox.connected();
        },
        disconnected: () => queries.disconnected(),
        authenticated(userChanged) {
            if (userChanged)
                forget();
            else
                queries.retryRefused();
        },
        frameTooLarge() {
            if (!outbox.failLargest())
                queries.failLargest();
        },
        frame(frame) {
            if (frame.type === "transition")
                queries.transition(frame);
            else if (frame.type === "mutResult")
                outbox.handleResult(frame);
        },
        pendingMutations: () => outbox.pending,
    };
    const link = new Link({
        url: socketUrl,
        contract: options.contract,
        tokens,
        WebSocket: options.WebSocket ?? globalThis.WebSocket,
        listener,
    });
    const queries = new Queries(link, options.lingerMs ?? LINGER_MS, (mutations) => outbox.markApplied(mutations));
    const outbox = new Outbox(link, queries, () => link.publish());
    const forget = () => {
        outbox.abandon("the signed-in user changed");
        queries.forget();
    };
    const cancelled = (ref) => ({
        ok: false,
        error: failure(ref.codes, { code: "CANCELLED", message: "the client is closed" }, trace().id),
    });
    const follow = (handle, status, none, cancel) => {
        const end = () => (closed ? Promise.resolve(cancelled(cancel)) : outbox.add(cancel.name, [], { id: handle }, undefined));
        return watchFollowed(queries.watch(status, { id: handle }), none, end);
    };
    // References carry the types of arguments, results and errors for callers; the implementation treats all of them as unknown.
    return {
        call: (ref, args, call = {}) => (closed ? Promise.resolve(cancelled(ref)) : http.call(ref, args, call)),
        mutate: (ref, args, { optimistic } = {}) => {
            const update = optimistic && ((store) => optimistic(store, args));
            return (closed ? Promise.resolve(cancelled(ref)) : outbox.add(ref.name, ref.codes, args, update));
        },
        watch: (ref, args) => queries.watch(ref, args),
        job: (handle) => follow(handle, jobStatus, NO_JOB, cancelMyJob),
        workflow: (handle) => follow(handle, workflowStatus, NO_RUN, cancelMyWorkflow),
        connection: link,
        get sessionEpoch() {
            return queries.sessionEpoch;
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
