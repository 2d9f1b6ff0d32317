// What can be written next into a filter.

import { quoted } from "./terms";

/** One of the things that can be written; `text` replaces the range of the completion. */
export type Option = { readonly text: string; readonly hint: string };
export type Completion = { readonly start: number; readonly end: number; readonly options: readonly Option[] };

/** The fields of a language with what each of them means, and the prefix of keys that a person names. */
export type Hints<Field extends string> = { readonly fields: Readonly<Record<Field, string>>; readonly prefix: Option };

const OPTIONS_MAX = 10;

/** The completion of `query` at the caret; without options when there is nothing to offer. `valuesOf` are the values of a field that begin like, or contain, what was typed. */
export function complete<Field extends string>(query: string, caret: number, hints: Hints<Field>, valuesOf: (field: Field, typed: string) => readonly Option[]): Completion {
  const start = query.slice(0, caret).search(/(?:"[^"]*"?|[^\s"])*$/);
  const typed = query.slice(start, caret);
  const rest = /^[^\s"]*/.exec(query.slice(caret))?.[0].length ?? 0;
  const range = { start, end: caret + rest };
  const names = Object.keys(hints.fields) as Field[];
  const field = names.find((name) => typed.startsWith(`${name}:`));
  if (field === undefined) {
    const all = [...names.map((name) => ({ text: `${name}:`, hint: hints.fields[name] })), hints.prefix];
    return { ...range, options: typed.includes(":") ? [] : all.filter(({ text }) => text.startsWith(typed) && text !== typed) };
  }
  const options = valuesOf(field, typed.slice(field.length + 1)).map(({ text, hint }) => ({ text: `${field}:${text} `, hint }));
  // The only thing to offer is there already.
  if (options.length === 1 && options[0]?.text.trimEnd() === typed) return { ...range, options: [] };
  return { ...range, options: options.slice(0, OPTIONS_MAX) };
}

/** The text of the filter after `option` was taken, and where the caret is then. */
export function taken(query: string, { start, end }: Completion, option: Option): { readonly query: string; readonly caret: number } {
  const rest = query.slice(end).replace(/^ /, option.text.endsWith(" ") ? "" : " ");
  return { query: query.slice(0, start) + option.text + rest, caret: start + option.text.length };
}

/** The values that contain what was typed. */
export function containing(typed: string, values: readonly Option[]): readonly Option[] {
  const plain = typed.replaceAll('"', "").toLowerCase();
  return values.filter(({ text }) => text.toLowerCase().includes(plain)).map(({ text, hint }) => ({ text: quoted(text), hint }));
}

/** Values without hints. */
export function plain(values: readonly string[]): readonly Option[] {
  return values.map((text) => ({ text, hint: "" }));
}

/** The words that can stand last in a list with commas, without those that stand before. */
export function further(typed: string, words: readonly string[]): readonly Option[] {
  const chosen = typed.split(",").slice(0, -1);
  const last = typed.split(",").at(-1) ?? "";
  return plain(words.filter((word) => !chosen.includes(word) && word.startsWith(last)).map((word) => [...chosen, word].join(",")));
}
