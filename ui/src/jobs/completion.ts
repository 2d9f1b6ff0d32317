// What can be written next into the filter of jobs.

import { type Completion, type Hints, complete, containing, further, plain } from "../parts/completion";
import { type FIELDS, STATUSES, WAITS } from "./query";

/** What exists: the values that are offered. */
export type Vocabulary = {
  readonly queues: readonly string[];
  readonly handlers: readonly { readonly name: string; readonly queue: string }[];
  readonly tenants: readonly string[];
};

const HINTS: Hints<(typeof FIELDS)[number]> = {
  fields: {
    status: "any of these statuses: failed,dead_letter",
    wait: "due, scheduled or blocked",
    queue: "the queue",
    handler: "the handler",
    tenant: "the tenant that the job runs for",
  },
  prefix: { text: "args.", hint: "an argument: args.user:7, args.to.city:Berlin" },
};

/** The completion of `query` at the caret. */
export function completeJobs(query: string, caret: number, vocabulary: Vocabulary): Completion {
  return complete(query, caret, HINTS, (field, typed) => {
    switch (field) {
      case "status":
        return further(typed, STATUSES);
      case "wait":
        return containing(typed, plain(WAITS));
      case "queue":
        return containing(typed, plain(vocabulary.queues));
      case "handler":
        return containing(typed, vocabulary.handlers.map(({ name, queue }) => ({ text: name, hint: `queue ${queue}` })));
      case "tenant":
        return containing(typed, plain(vocabulary.tenants));
    }
  });
}
