// Which branches of the tree are folded away.

/** More would not fit into an address: the oldest unfolds. */
export const FOLDED_MAX = 40;

/** `folded` with `key` put in or taken out. */
export function toggled(folded: readonly string[], key: string): readonly string[] {
  return folded.includes(key) ? folded.filter((other) => other !== key) : [...folded, key].slice(-FOLDED_MAX);
}
