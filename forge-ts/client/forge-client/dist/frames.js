/** The frames of `forge.v1` (docs: WebSocket). */
export {};
