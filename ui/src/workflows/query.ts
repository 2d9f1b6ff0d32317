// The language of the filter of runs: `workflow:onboard version:2 status:failed attribute.plan:gold some text`.

import type { RunId, WorkflowStatus } from "../forge/api";
import { type Grammar, readTerms } from "../parts/terms";
import { STATUSES, type WholeFilter } from "./run";

/** The fields of the language; those of attributes begin with `attribute.`. */
export const FIELDS = ["status", "workflow", "version", "key", "id", "parent", "from", "before"] as const;
export const GRAMMAR: Grammar<(typeof FIELDS)[number]> = { fields: FIELDS, prefix: "attribute." };

/** Words beside the statuses: runs that have not ended, and those that have. */
export const LIVE = "live";
export const ENDED = "ended";

const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const VERSION_MAX = 2 ** 31 - 1;

/** A filter as the functions take it, and what in its text has no meaning. */
export type ReadRunQuery = { readonly filter: WholeFilter; readonly problems: readonly string[] };

/** Reads a filter's text. */
export function readQuery(query: string): ReadRunQuery {
  const { one, named, text, problems } = readTerms(query, GRAMMAR);
  const words = (one.status ?? "").split(",").filter((word) => word !== "");
  for (const word of words) if (!isStatus(word) && word !== LIVE && word !== ENDED) problems.push(`“${word}” is no status: there are ${[LIVE, ENDED, ...STATUSES].join(", ")}`);
  const [isLive, isEnded] = [words.includes(LIVE), words.includes(ENDED)];
  const id = (field: "id" | "parent"): RunId | null => {
    const value = one[field];
    if (value === undefined || ID.test(value)) return (value ?? null) as RunId | null;
    problems.push(`“${value}” is no id of a run`);
    return null;
  };
  const time = (field: "from" | "before"): string | null => {
    const at = new Date(one[field] ?? "");
    if (one[field] !== undefined && Number.isNaN(at.getTime())) problems.push(`“${one[field]}” is no time: use ${field}:2026-11-30 or ${field}:2026-11-30T14:05`);
    return Number.isNaN(at.getTime()) ? null : at.toISOString();
  };
  const version = Number(one.version);
  const isVersion = Number.isInteger(version) && version > 0 && version <= VERSION_MAX;
  if (one.version !== undefined && !isVersion) problems.push(`“${one.version}” is no version`);
  const filter: WholeFilter = {
    statuses: words.filter(isStatus),
    isEnded: isLive === isEnded ? null : isEnded,
    workflow: one.workflow ?? null,
    version: isVersion ? version : null,
    key: one.key ?? null,
    id: id("id"),
    parent: id("parent"),
    startedFrom: time("from"),
    startedBefore: time("before"),
    attributes: named.map(({ name, value }) => ({ name, value })),
    text,
  };
  return { filter, problems };
}

function isStatus(word: string): word is WorkflowStatus {
  return STATUSES.some((status) => status === word);
}
