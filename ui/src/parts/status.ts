// The appearance of a state: shape and word identify it, and the colour (tone) only repeats them.

export type Shape = "dot" | "ring" | "hourglass" | "turn" | "square" | "frame" | "bars" | "cross";
export type Tone = "ok" | "dim" | "warn" | "bad";
export type Status = { readonly shape: Shape; readonly tone: Tone; readonly word: string };
