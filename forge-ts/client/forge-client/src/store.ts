/** A value that changes, and those who want to hear of it. */

export interface Store<Value> {
  /** The value now; another object after each change. */
  readonly current: Value;
  /** Calls `listener` after each change, until the returned function is called. */
  subscribe(listener: () => void): () => void;
}

/** Calls every listener, whatever one of them throws: the error is reported as an uncaught one is. */
export function tell(listeners: Iterable<() => void>): void {
  for (const listener of [...listeners]) guarded(listener);
}

/** Runs `work`; reports what it throws, since there is no caller who could handle it. */
export function guarded(work: () => void): boolean {
  try {
    work();
    return true;
  } catch (error) {
    setTimeout(() => {
      throw error;
    });
    return false;
  }
}
