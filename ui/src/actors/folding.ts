// The set of folded branches.

/** Folded branches at most, since they are part of the address; beyond that the oldest one unfolds. */
export const FOLDED_MAX = 40;

/** `folded` with `key` added, or removed when it is contained. */
export function toggled(folded: readonly string[], key: string): readonly string[] {
  return folded.includes(key) ? folded.filter((other) => other !== key) : [...folded, key].slice(-FOLDED_MAX);
}
