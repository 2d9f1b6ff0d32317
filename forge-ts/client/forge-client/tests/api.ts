/** The API of a task application, as `forge-node generate` writes it. */

import { action, mutation, query, type JobHandle, type WorkflowHandle } from "../src/index.js";

export interface Task {
  id: string;
  title: string;
  done: boolean;
}

export type TaskError =
  | { code: "LIMIT_REACHED"; message: string; details: { max: number } }
  | { code: "TASK_NOT_FOUND"; message: string; details: null };

export const api = {
  tasks: {
    list: query<{ project: string; status?: "open" | "done" | null | undefined }, Task[], never>("tasks.list"),
    count: query<{ project: string }, number, never>("tasks.count"),
    find: query<{ id: string }, Task | null, TaskError>("tasks.find", ["TASK_NOT_FOUND"]),
    create: mutation<{ project: string; title: string }, Task, TaskError>("tasks.create", ["LIMIT_REACHED", "TASK_NOT_FOUND"]),
    clear: mutation<Record<string, never>, null, never>("tasks.clear"),
    export: mutation<{ project: string }, JobHandle<{ url: string }, TaskError>, never>("tasks.export"),
    archive: mutation<{ project: string }, WorkflowHandle<{ tasks: number }, TaskError>, never>("tasks.archive"),
    ping: action<Record<string, never>, null, never>("tasks.ping"),
  },
} as const;

export const task = (title: string, id = title): Task => ({ id, title, done: false });
