// Time on the page: a clock that ticks once a second, and the reader's wish to hold the figures.

class Clock {
  #now = $state(Date.now());

  constructor() {
    setInterval(() => (this.#now = Date.now()), 1_000);
  }

  /** Milliseconds since the epoch by the browser's clock, to the second. */
  get now(): number {
    return this.#now;
  }
}

export const clock = new Clock();

class Hold {
  #on = $state(false);
  #sinceMs = 0;

  /** The figures stand still; what happens meanwhile is shown when they go on. */
  get on(): boolean {
    return this.#on;
  }

  /** Since when, by the browser's clock. */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  toggle(): void {
    this.#on = !this.#on;
    this.#sinceMs = Date.now();
  }
}

export const hold = new Hold();

/** The data of a live query, or while the figures are held, the first that came since. */
export function held<Data>(live: { readonly data: Data | undefined }): { readonly data: Data | undefined } {
  let kept: Data | undefined;
  const shown = $derived.by(() => {
    if (hold.on && kept !== undefined) return kept;
    kept = live.data;
    return kept;
  });
  return {
    get data() {
      return shown;
    },
  };
}
