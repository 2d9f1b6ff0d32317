// What differs between two texts, word by word.

export type Segment = { readonly text: string; readonly isSame: boolean };

/** Words of one text that are compared; what follows them counts as different. */
const WORDS_MAX = 400;

/** Both texts in segments: those that are the same in the other text, in the same order, and those that are not. */
export function differences(left: string, right: string): readonly [readonly Segment[], readonly Segment[]] {
  const [a, b] = [words(left), words(right)];
  const same = common(a.slice(0, WORDS_MAX), b.slice(0, WORDS_MAX));
  const pick = (of: readonly string[], kept: ReadonlySet<number>) => joined(of.map((text, at) => ({ text, isSame: kept.has(at) })));
  return [pick(a, new Set(same.map(([at]) => at))), pick(b, new Set(same.map(([, at]) => at)))];
}

/** Words and signs, each with the blanks before it. */
function words(text: string): readonly string[] {
  return text.match(/\s*(?:[\p{L}\p{N}_]+|[^\p{L}\p{N}_\s])|\s+$/gu) ?? [];
}

/** The places of the longest common subsequence of words. */
function common(a: readonly string[], b: readonly string[]): readonly (readonly [number, number])[] {
  // The length of the longest common row of the rests that begin at each pair of places.
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  const length = (i: number, j: number): number => lengths[i]?.[j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      const row = lengths[i];
      if (row !== undefined) row[j] = a[i] === b[j] ? length(i + 1, j + 1) + 1 : Math.max(length(i + 1, j), length(i, j + 1));
    }
  }
  const pairs: [number, number][] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j]) {
      pairs.push([i, j]);
      i += 1;
      j += 1;
    } else if (length(i + 1, j) >= length(i, j + 1)) i += 1;
    else j += 1;
  }
  return pairs;
}

/** Neighbours that are alike become one segment. */
function joined(segments: readonly Segment[]): readonly Segment[] {
  const all: Segment[] = [];
  for (const segment of segments) {
    const last = all.at(-1);
    if (last?.isSame === segment.isSame) all[all.length - 1] = { text: last.text + segment.text, isSame: last.isSame };
    else all.push(segment);
  }
  return all;
}
