/** Calls that must compile and calls that must not. `npm run check` compiles this file; no test runs it. */

import { unwrap, type Forge, type Result } from "../src/index.js";
import { api, type Task, type TaskError } from "./api.js";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <Claim extends true>(claim?: Claim): Claim | undefined => claim;

export async function calls(forge: Forge): Promise<void> {
  const created = await forge.mutate(api.tasks.create, { project: "p", title: "t" });
  holds<Equal<typeof created, Result<Task, TaskError>>>();
  await forge.mutate(api.tasks.clear);
  await forge.call(api.tasks.ping);
  await forge.call(api.tasks.count, { project: "p" }, { signal: new AbortController().signal });
  holds<Equal<ReturnType<typeof unwrap<Task, TaskError>>, Task>>();
  const title: string = unwrap(created).title;

  // @ts-expect-error a field that there is not
  await forge.mutate(api.tasks.create, { project: "p", title, urgent: true });
  // @ts-expect-error a field of another type
  await forge.mutate(api.tasks.create, { project: "p", title: 1 });
  // @ts-expect-error a field is missing
  await forge.mutate(api.tasks.create, { project: "p" });
  // @ts-expect-error arguments are missing
  await forge.mutate(api.tasks.create);
  // @ts-expect-error a query is no mutation
  await forge.mutate(api.tasks.list, { project: "p" });
  // @ts-expect-error a mutation cannot be watched
  forge.watch(api.tasks.create, { project: "p", title: "t" });
  // @ts-expect-error an action cannot be watched
  forge.watch(api.tasks.ping);
  // @ts-expect-error no such status
  forge.watch(api.tasks.list, { project: "p", status: "lost" });
  // @ts-expect-error a reference is no string
  await forge.call("tasks.list", { project: "p" });
}

export function errors(result: Result<Task, TaskError>, plain: Result<number>): string | number {
  if (!plain.ok) return plain.error.system.code;
  if (result.ok) return result.data.title;
  if (result.error.kind === "system") return result.error.system.traceId;
  const { app } = result.error;
  switch (app.code) {
    case "LIMIT_REACHED":
      return app.details.max;
    case "TASK_NOT_FOUND":
      return app.details ?? "no details";
    default:
      return app satisfies never;
  }
}

export function live(forge: Forge): number | string {
  const { current } = forge.watch(api.tasks.list, { project: "p" });
  // @ts-expect-error it may still be loading
  current.data.length;
  if (current.error) return current.error.system.code;
  if (current.isLoading) return "loading";
  return current.data.length;
}

export async function runs(forge: Forge): Promise<number | string> {
  const handle = unwrap(await forge.mutate(api.tasks.archive, { project: "p" }));
  const run = forge.workflow(handle);
  const { current } = run;
  holds<Equal<typeof current.published, unknown>>();
  // @ts-expect-error it may not have ended
  current.result.tasks;
  // @ts-expect-error a plain text is no handle
  forge.workflow("0193a5b0-0000-7000-8000-000000000000");
  // @ts-expect-error a run is no job
  forge.job(handle);
  const cancelled = await run.cancel();
  holds<Equal<typeof cancelled, Result<void>>>();
  switch (current.status) {
    case "completed":
      return current.result.tasks;
    case "failed":
    case "cancelled":
    case "terminated":
      if (current.error.kind === "app" && current.error.app.code === "LIMIT_REACHED") return current.error.app.details.max;
      return current.createdAt.toISOString();
    case "loading":
      return current.status;
    case "unknown":
      return current.error.system.code;
    default:
      holds<Equal<typeof current.error, undefined>>();
      return current.dueAt?.toISOString() ?? current.status;
  }
}

export async function jobs(forge: Forge): Promise<number | string> {
  const handle = unwrap(await forge.mutate(api.tasks.export, { project: "p" }));
  const job = forge.job(handle);
  const { current } = job;
  holds<Equal<typeof current.progress, number | null>>();
  // @ts-expect-error it may not have ended
  current.result.url;
  // @ts-expect-error a plain text is no handle
  forge.job("0193a5b0-0000-7000-8000-000000000000");
  const cancelled = await job.cancel();
  holds<Equal<typeof cancelled, Result<void>>>();
  switch (current.status) {
    case "completed":
      return current.result.url;
    case "failed":
    case "dead_letter":
    case "cancelled":
      if (current.error.kind === "app" && current.error.app.code === "LIMIT_REACHED") return current.error.app.details.max;
      return current.createdAt.toISOString();
    case "unknown":
      return current.error.system.code;
    default:
      return current.message ?? current.status;
  }
}

export function optimistic(forge: Forge): void {
  void forge.mutate(
    api.tasks.create,
    { project: "p", title: "t" },
    {
      optimistic: (store, args) => {
        store.patch(api.tasks.list, { project: args.project }, (tasks) => tasks.unshift({ id: store.tempId(), title: args.title, done: false }));
        // @ts-expect-error not a task
        store.patch(api.tasks.list, { project: args.project }, (tasks) => tasks.push({ name: "t" }));
        // @ts-expect-error a mutation has no result that is shown
        store.get(api.tasks.create, { project: "p", title: "t" });
      },
    },
  );
}
