/** Frames of the WebSocket protocol `forge.v1` (docs: WebSocket). */
export {};
