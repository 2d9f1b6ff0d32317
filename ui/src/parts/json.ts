// JSON texts for people to read. The text is indented and not parsed: a parsed number would lose the digits beyond 2^53.

const INDENT = "  ";
/** A string, or what stands between the signs of structure: a number or a word. */
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs;

/** `text` with a line for each member; unchanged when it is no JSON. */
export function indented(text: string): string {
  if (!isJson(text)) return text;
  const tokens = text.match(TOKENS) ?? [];
  let depth = 0;
  let out = "";
  tokens.forEach((token, at) => {
    const next = tokens[at + 1];
    if (token === "{" || token === "[") {
      const isEmpty = next === "}" || next === "]";
      if (!isEmpty) depth += 1;
      out += isEmpty ? token : `${token}\n${INDENT.repeat(depth)}`;
    } else if (token === "}" || token === "]") {
      const before = tokens[at - 1];
      const isEmpty = before === "{" || before === "[";
      if (!isEmpty) depth -= 1;
      out += isEmpty ? token : `\n${INDENT.repeat(depth)}${token}`;
    } else if (token === ",") out += `,\n${INDENT.repeat(depth)}`;
    else out += token === ":" ? ": " : token;
  });
  return out;
}

/** Whether `text` is one JSON value. */
export function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
