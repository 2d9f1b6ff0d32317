// Actions on all rows that match a filter, which a job of the node carries out.

import { count, plural } from "./format";

/** An action as buttons and messages name it. */
export type ActionWords = { readonly verb: string; readonly done: string; readonly means: string };

/** One of the actions of a bulk. */
export type BulkChoice<Action extends string> = ActionWords & { readonly action: Action; readonly isDangerous: boolean; readonly takesReason: boolean };

/** How many rows match, and how many of them the action would change. `unsearched` were left out. */
export type Matches = { readonly total: number; readonly actionable: number; readonly unsearched?: readonly string[] };

/** More rows than this are confirmed by a typed word. */
const TYPED_ABOVE = 100;

/** Whether the action has to be confirmed by a typed word. */
export function isTyped(rows: number): boolean {
  return rows > TYPED_ABOVE;
}

/** What the dry run has found, in sentences. */
export function matchesText(one: string, done: string, { total, actionable }: Matches): string {
  if (total === 0) return `No ${one} matches the filter.`;
  const match = `${plural(total, `${one} matches`, `${one}s match`)} the filter`;
  if (actionable === 0) return `${match}; none of them can be ${done}.`;
  const changed = actionable === total ? (total === 1 ? "it" : "all of them") : `${count(actionable)} of them`;
  return `${match}; ${changed} can be ${done}.`;
}
