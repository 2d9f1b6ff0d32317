// Time on the page: a clock that ticks once a second, and the reader's wish that the figures stand still.

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

class Pause {
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

export const pause = new Pause();

/** The data of a live query, or while it is paused, what it was then. A query that had none yet still shows its first. */
export function pausable<Data>(live: { readonly data: Data | undefined }): { readonly data: Data | undefined } {
  let kept: Data | undefined;
  const shown = $derived.by(() => {
    if (pause.on && kept !== undefined) return kept;
    kept = live.data;
    return kept;
  });
  return {
    get data() {
      return shown;
    },
  };
}
