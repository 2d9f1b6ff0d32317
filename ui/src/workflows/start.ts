// What a person writes to start a run: the arguments to begin with, and what is wrong with a text.

import type { ArgumentForm, StartableWorkflow } from "../forge/api";
import { isJson } from "../parts/json";

/** What a start asks for, as the fields of its form hold it. */
export type StartFields = { readonly workflow: string; readonly args: string; readonly key: string };

/** The arguments object to begin with: a line for each of them, those that may be left out with `null`. */
export function templateOf(forms: readonly ArgumentForm[] | null): string {
  if (forms === null || forms.length === 0) return "{}";
  const lines = forms.map(({ name, placeholder }) => `  ${JSON.stringify(name)}: ${placeholder}`);
  return `{\n${lines.join(",\n")}\n}`;
}

/** The version that is started: the one that is asked for, or the newest. */
export function versionOf(workflow: StartableWorkflow | undefined, wanted: string): StartableWorkflow["versions"][number] | undefined {
  const version = wanted === "" ? workflow?.newest : Number(wanted);
  return workflow?.versions.find((known) => known.version === version);
}

/** Why a start cannot be sent as it is; null when it can. */
export function problemOf({ workflow, args, key }: StartFields): string | null {
  if (workflow === "") return "Choose a workflow.";
  if (!isObject(args)) return isJson(args) ? "The arguments are no JSON object." : "The arguments are no JSON.";
  if (key.trim() !== "" && !isJson(key)) return "The key is not JSON: put a text into double quotes.";
  return null;
}

function isObject(text: string): boolean {
  return isJson(text) && /^\s*\{/.test(text);
}
