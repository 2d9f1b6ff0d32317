// The frames of a backtrace, as Rust prints one: `  3: crate::module::function`, and below it where the function is written.

export type Frame = {
  readonly text: string;
  /** The frame is code of the application: neither of Rust nor of a library that every application has. */
  readonly own: boolean;
};

/** Crates whose frames say how a handler was called, not what it did. */
const LIBRARIES: ReadonlySet<string> = new Set([
  ...["std", "core", "alloc", "backtrace", "rust_begin_unwind", "tokio", "tokio_util", "futures", "futures_util", "futures_core", "ractor", "ractor_cluster"],
  ...["forge", "forge_actors", "sqlx", "sqlx_core", "sqlx_postgres", "hyper", "hyper_util", "http_body_util", "serde", "serde_json", "tracing", "tracing_core", "mimalloc"],
]);

const NUMBERED = /^\s*\d+: /;
/** The first crate of a path, behind what stands before the paths of types: `<&mut crate::Type as …`. */
const CRATE = /^\s*\d+:\s+[<&*(]*(?:(?:dyn|mut|const|impl)\s+)*([A-Za-z_]\w*)::/;

/** The frames of the application first, in their order, then all others. A text that is no backtrace is one frame. */
export function framesOf(backtrace: string): readonly Frame[] {
  const frames: string[] = [];
  for (const line of backtrace.split("\n")) {
    const last = frames.at(-1);
    if (last === undefined || NUMBERED.test(line)) frames.push(line);
    else frames.splice(-1, 1, `${last}\n${line}`);
  }
  const marked = frames.map((text) => ({ text, own: isOwn(text) }));
  return [...marked.filter((frame) => frame.own), ...marked.filter((frame) => !frame.own)];
}

function isOwn(frame: string): boolean {
  const crate = CRATE.exec(frame)?.[1];
  return crate !== undefined && !LIBRARIES.has(crate);
}
