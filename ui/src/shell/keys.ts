// Commands of the keyboard: which key or chord gives which command.

export type Command = Page | "filter" | "pause" | "help" | "close" | "down" | "up" | "open" | "select" | "retry";
type Page = "overview" | "actors" | "jobs" | "workflows" | "crons";

/** A key press and where it goes. */
export type Press = {
  readonly key: string;
  /** Ctrl, Alt or Meta is down, so that the press belongs to the browser. */
  readonly modified: boolean;
  /** The press goes into a text field. */
  readonly typing: boolean;
  /** The press goes to a button or a link, which has its own meaning for Enter and Space. */
  readonly control: boolean;
};

export type Outcome = { readonly command: Command | null; readonly prefix: string | null };

/** Time within which a second key completes a chord. */
export const CHORD_MS_MAX = 1_000;

const CHORDS: Readonly<Record<string, Command>> = { "g o": "overview", "g a": "actors", "g j": "jobs", "g w": "workflows", "g c": "crons" };
const SINGLE: Readonly<Record<string, Command>> = {
  "/": "filter",
  "?": "help",
  " ": "pause",
  Escape: "close",
  j: "down",
  k: "up",
  Enter: "open",
  x: "select",
  r: "retry",
};

/** The command of `press` after `prefix`, the first key of a chord. */
export function interpret(prefix: string | null, press: Press): Outcome {
  if (press.modified) return { command: null, prefix: null };
  if (press.typing) return { command: press.key === "Escape" ? "close" : null, prefix: null };
  if (prefix !== null) {
    const chord = CHORDS[`${prefix} ${press.key}`];
    if (chord !== undefined) return { command: chord, prefix: null };
  }
  if (press.key === "g") return { command: null, prefix: "g" };
  if (press.control && (press.key === " " || press.key === "Enter")) return { command: null, prefix: null };
  return { command: SINGLE[press.key] ?? null, prefix: null };
}
