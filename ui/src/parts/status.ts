// The look of a state: a shape and a word each, so that colour only repeats what they say.

export type Shape = "dot" | "ring" | "hourglass" | "turn" | "square" | "cross";
export type Tone = "ok" | "dim" | "warn" | "bad";
export type Status = { readonly shape: Shape; readonly tone: Tone; readonly word: string };
