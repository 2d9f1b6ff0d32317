// Folding of the branches of the table. The folded branches are part of the route.

import type { ActorRow } from "../forge/api";
import { navigation } from "../shell/navigation.svelte";
import { keyOf } from "../shell/route";
import { toggled } from "./folding";

export function isFolded(row: ActorRow): boolean {
  return navigation.route.folded.includes(keyOf(row));
}

/** Folds (`true`), unfolds (`false`) or toggles (`null`) the branch of `row`. Returns whether anything changed. */
export function fold(row: ActorRow, folding: boolean | null): boolean {
  if (row.children === 0 || navigation.route.sort !== "tree" || folding === isFolded(row)) return false;
  navigation.adjust({ folded: toggled(navigation.route.folded, keyOf(row)) });
  return true;
}
