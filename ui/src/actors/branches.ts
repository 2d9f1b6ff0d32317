// Branches of the tree on screen: which are folded away is part of the address.

import type { ActorRow } from "../forge/api";
import { navigation } from "../shell/navigation.svelte";
import { keyOf } from "../shell/place";
import { toggled } from "./folding";

export function isFolded(row: ActorRow): boolean {
  return navigation.place.folded.includes(keyOf(row));
}

/** Folds a branch, unfolds it, or does what it is not (`null`); whether that changed anything. */
export function fold(row: ActorRow, away: boolean | null): boolean {
  if (row.children === 0 || navigation.place.sort !== "tree" || away === isFolded(row)) return false;
  navigation.adjust({ folded: toggled(navigation.place.folded, keyOf(row)) });
  return true;
}
