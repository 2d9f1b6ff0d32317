// Short messages about the result of an action.

/** What can be done about a message: undone, or looked at. */
export type ToastAction = { readonly label: string; readonly run: () => void };
export type Toast = { readonly id: number; readonly tone: "ok" | "bad"; readonly text: string; readonly traceId: string | null; readonly action: ToastAction | null };

const SHOWN_MS = 6_000;
/** Messages shown at most; beyond that the oldest one is removed. */
const SHOWN_MAX = 4;

class Toasts {
  #shown = $state.raw<readonly Toast[]>([]);
  #next = 1;

  get shown(): readonly Toast[] {
    return this.#shown;
  }

  /** Shows a message. A success is removed after `SHOWN_MS`; a failure stays until it is dismissed. */
  show(tone: Toast["tone"], text: string, traceId: string | null = null, action: ToastAction | null = null): void {
    const toast = { id: this.#next, tone, text, traceId, action };
    this.#next += 1;
    this.#shown = [...this.#shown, toast].slice(-SHOWN_MAX);
    if (tone === "ok") setTimeout(() => this.dismiss(toast.id), SHOWN_MS);
  }

  dismiss(id: number): void {
    this.#shown = this.#shown.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
