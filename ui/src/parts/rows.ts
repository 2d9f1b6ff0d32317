// Moves of the keyboard through a list whose rows are links: the row that has the focus is the one that commands are about.

/** Links of rows have this attribute, whose value is the key of the row. */
export const ROW = "data-row";

/** The key of the row that has the focus, or that contains what has the focus. */
export function focusedRow(list: HTMLElement): string | null {
  const row = list.contains(document.activeElement) ? document.activeElement?.closest("[role=row]") : null;
  return row?.querySelector(`[${ROW}]`)?.getAttribute(ROW) ?? null;
}

/** Focuses the row of `key`, if it is in the list. */
export function focusRowOf(list: HTMLElement, key: string): void {
  list.querySelector<HTMLElement>(`[${ROW}="${CSS.escape(key)}"]`)?.focus();
}

/** Focuses the row that is `step` rows from `from`, or from the first one. Returns its key. */
export function focusRow(list: HTMLElement, from: string | null, step: number): string | null {
  const links = [...list.querySelectorAll<HTMLElement>(`[${ROW}]`)];
  const at = links.findIndex((link) => link.getAttribute(ROW) === from);
  const link = links[at < 0 ? 0 : Math.min(Math.max(at + step, 0), links.length - 1)];
  link?.focus();
  link?.scrollIntoView({ block: "nearest" });
  return link?.getAttribute(ROW) ?? null;
}
