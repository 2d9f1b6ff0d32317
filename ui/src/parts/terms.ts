// Filters as texts: `queue:mail status:failed,dead_letter some text`. A value with blanks is in quotes. What names no field is text.

/** The fields of a language, and how the keys begin that a person names: `args.` as in `args.user:7`. */
export type Grammar<Field extends string> = { readonly fields: readonly Field[]; readonly prefix: string };

/** A part of a filter as it was written, from `start` to before `end`. */
export type Term = { readonly start: number; readonly end: number; readonly key: string | null; readonly value: string };

/** What a filter's text says; `problems` are parts of it without a meaning. */
export type ReadTerms<Field extends string> = {
  readonly one: Readonly<Partial<Record<Field, string>>>;
  /** The terms with the prefix, which it is taken from. */
  readonly named: readonly { readonly name: string; readonly value: string }[];
  readonly text: string | null;
  readonly problems: string[];
};

/** The terms of a filter's text. */
export function termsOf(query: string, grammar: Grammar<string>): readonly Term[] {
  const terms: Term[] = [];
  for (const { 0: text, index: start } of query.matchAll(/(?:"(?:[^"\\]|\\.)*"?|[^\s"])+/gs)) {
    const key = /^([a-z_]+(?:\.[^\s":]+)?):/s.exec(text)?.[1];
    const end = start + text.length;
    if (key !== undefined && (key.startsWith(grammar.prefix) || grammar.fields.includes(key))) terms.push({ start, end, key, value: unquoted(text.slice(key.length + 1)) });
    else terms.push({ start, end, key: null, value: unquoted(text) });
  }
  return terms;
}

/** Reads a filter's text. */
export function readTerms<Field extends string>(query: string, grammar: Grammar<Field>): ReadTerms<Field> {
  const problems: string[] = [];
  const one: Partial<Record<Field, string>> = {};
  const named: { name: string; value: string }[] = [];
  const words: string[] = [];
  for (const { key, value } of termsOf(query, grammar)) {
    const field = grammar.fields.find((known) => known === key);
    if (key === null) {
      const unknown = /^([a-z_]+):./.exec(value)?.[1];
      if (unknown !== undefined && !value.includes(" ") && !value.includes("://")) problems.push(`“${unknown}” is no field, so “${value}” is searched for as a text`);
      words.push(value);
    } else if (value === "") problems.push(`“${key}:” has no value yet`);
    else if (field === undefined) named.push({ name: key.slice(grammar.prefix.length), value });
    else {
      if (one[field] !== undefined) problems.push(`“${field}” is there twice: the last one counts`);
      one[field] = value;
    }
  }
  return { one, named, text: words.join(" ") || null, problems };
}

/** `query` with other terms in place of those of `fields`. */
export function withTerms<Field extends string>(query: string, grammar: Grammar<Field>, fields: readonly Field[], terms: string): string {
  const kept = termsOf(query, grammar).filter(({ key }) => !fields.some((replaced) => replaced === key));
  return [terms, ...kept.map(({ start, end }) => query.slice(start, end))].filter((text) => text !== "").join(" ");
}

/** The term of a field, with quotes where its value needs them. */
export function term(field: string, value: string): string {
  return `${field}:${quoted(value)}`;
}

/** A value as it is written in a filter. */
export function quoted(value: string): string {
  return /^[^\s"]+$/.test(value) ? value : `"${value.replaceAll(/["\\]/g, "\\$&")}"`;
}

function unquoted(text: string): string {
  return text.replaceAll(/"((?:[^"\\]|\\.)*)"?/gs, (_, inside: string) => inside.replaceAll(/\\(.)/gs, "$1"));
}
