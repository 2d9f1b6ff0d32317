/** Short messages that are removed after a few seconds. */

const SHOWN_MS = 6_000;
const SHOWN_MAX = 4;

let idNext = 1;
export const toasts = $state<{ id: number; text: string }[]>([]);

export function toast(text: string): void {
  const id = idNext++;
  toasts.push({ id, text });
  if (toasts.length > SHOWN_MAX) toasts.shift();
  setTimeout(() => dismiss(id), SHOWN_MS);
}

export function dismiss(id: number): void {
  const index = toasts.findIndex((shown) => shown.id === id);
  if (index >= 0) toasts.splice(index, 1);
}
