// Key presses of the page, and the listeners of their commands.

import { CHORD_MS_MAX, type Command, interpret } from "./keys";

type Listener = () => void;

const listeners = new Map<Command, Listener[]>();
let prefix: string | null = null;
let prefixAtMs = 0;

/** Calls `listener` at `command` until the returned function is called. Only the newest listener of a command is called. */
export function on(command: Command, listener: Listener): () => void {
  const known = listeners.get(command) ?? [];
  known.push(listener);
  listeners.set(command, known);
  return () => {
    listeners.set(command, (listeners.get(command) ?? []).filter((other) => other !== listener));
  };
}

/** Handles the key presses of the page from now on. */
export function listen(): void {
  addEventListener("keydown", (event) => {
    // An open dialog handles its keys itself.
    if (event.defaultPrevented || document.querySelector("dialog[open]") !== null) return;
    const target = event.target instanceof Element ? event.target : null;
    const press = {
      key: event.key,
      modified: event.ctrlKey || event.altKey || event.metaKey,
      typing: target?.closest("input, textarea, select") != null,
      control: target?.closest("button, a, summary") != null,
    };
    const outcome = interpret(event.timeStamp - prefixAtMs > CHORD_MS_MAX ? null : prefix, press);
    prefix = outcome.prefix;
    prefixAtMs = event.timeStamp;
    const listener = outcome.command === null ? undefined : listeners.get(outcome.command)?.at(-1);
    if (listener === undefined) return;
    event.preventDefault();
    listener();
  });
}
