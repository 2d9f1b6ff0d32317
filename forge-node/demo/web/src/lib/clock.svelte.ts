/** The time of the browser, for what is shown as "9 min left". */

const TICK_MS = 1_000;

export class Clock {
  #now = $state(Date.now());

  /** Runs for as long as the component that makes it is shown. */
  constructor() {
    $effect(() => {
      const timer = setInterval(() => (this.#now = Date.now()), TICK_MS);
      return () => clearInterval(timer);
    });
  }

  /** How long it is until then, in the largest unit that fits. */
  left(until: string): string {
    const seconds = Math.max(0, Math.ceil((Date.parse(until) - this.#now) / 1_000));
    if (seconds <= 60) return `${seconds} s left`;
    if (seconds <= 3_600) return `${Math.ceil(seconds / 60)} min left`;
    if (seconds <= 48 * 3_600) return `${Math.ceil(seconds / 3_600)} h left`;
    return `${Math.ceil(seconds / 86_400)} days left`;
  }
}
