/** Short messages that are removed after a few seconds. */

const SHOWN_MS = 6_000;
/** A message that offers something stays for longer, so that there is time to take it. */
const OFFERED_MS = 10_000;
const SHOWN_MAX = 4;

/** What a message offers, for example to undo what was done. */
export interface Offer {
  label: string;
  take: () => void;
}

let idNext = 1;
export const toasts = $state<{ id: number; text: string; offer: Offer | undefined }[]>([]);

export function toast(text: string, offer?: Offer): void {
  const id = idNext++;
  toasts.push({ id, text, offer });
  if (toasts.length > SHOWN_MAX) toasts.shift();
  setTimeout(() => dismiss(id), offer ? OFFERED_MS : SHOWN_MS);
}

export function dismiss(id: number): void {
  const index = toasts.findIndex((shown) => shown.id === id);
  if (index >= 0) toasts.splice(index, 1);
}
