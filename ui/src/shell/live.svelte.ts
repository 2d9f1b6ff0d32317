// The clock of the page, which ticks once a second, and the pause of live updates.

class Clock {
  #now = $state(Date.now());

  constructor() {
    setInterval(() => (this.#now = Date.now()), 1_000);
  }

  /** Milliseconds since the Unix epoch by the browser's clock, updated once a second. */
  get now(): number {
    return this.#now;
  }
}

export const clock = new Clock();

class Pause {
  #on = $state(false);
  #sinceMs = 0;

  /** Live updates are paused. Changes of the meantime are shown when the pause ends. */
  get on(): boolean {
    return this.#on;
  }

  /** Start of the pause, by the browser's clock. */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  toggle(): void {
    this.#on = !this.#on;
    this.#sinceMs = Date.now();
  }
}

export const pause = new Pause();

/**
 * The data of a live query; during a pause the data of its start. A query without data at the start shows its first result, and so does one
 * whose `view` changes: what its arguments are made of.
 */
export function pausable<Data>(live: { readonly data: Data | undefined }, view: () => string = () => ""): { readonly data: Data | undefined } {
  let last: { readonly view: string; readonly data: Data } | undefined;
  const shown = $derived.by(() => {
    const now = view();
    if (pause.on && last?.view === now) return last.data;
    const { data } = live;
    if (data !== undefined) last = { view: now, data };
    return data;
  });
  return {
    get data() {
      return shown;
    },
  };
}
