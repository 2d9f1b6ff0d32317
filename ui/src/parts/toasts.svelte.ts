// Short messages about what an action did.

export type Toast = { readonly id: number; readonly tone: "ok" | "bad"; readonly text: string; readonly traceId: string | null };

const SHOWN_MS = 6_000;
/** More at once are unreadable: the oldest goes. */
const SHOWN_MAX = 4;

class Toasts {
  #shown = $state.raw<readonly Toast[]>([]);
  #next = 1;

  get shown(): readonly Toast[] {
    return this.#shown;
  }

  /** Good news goes by itself; bad news stays until it is dismissed. */
  tell(tone: Toast["tone"], text: string, traceId: string | null = null): void {
    const toast = { id: this.#next, tone, text, traceId };
    this.#next += 1;
    this.#shown = [...this.#shown, toast].slice(-SHOWN_MAX);
    if (tone === "ok") setTimeout(() => this.dismiss(toast.id), SHOWN_MS);
  }

  dismiss(id: number): void {
    this.#shown = this.#shown.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
