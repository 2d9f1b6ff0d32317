/** A fake node that a test controls: the other end of every socket that the client opens. */

import { vi } from "vitest";

import type { ClientFrame, Mod, ServerFrame } from "../src/frames.js";
import { createForge, type Forge, type ForgeOptions } from "../src/index.js";

type FrameOf<Type extends ClientFrame["type"]> = Extract<ClientFrame, { type: Type }>;

export class FakeSocket {
  readonly sent: ClientFrame[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  /** The client closed the socket. */
  closed = false;
  /** Pings are not answered, as when the machine of the node is down. */
  silent = false;

  constructor(
    readonly url: URL,
    readonly offered: string[],
  ) {}

  send(text: string): void {
    const frame = JSON.parse(text) as ClientFrame;
    this.sent.push(frame);
    if (frame.type === "ping" && !this.silent) queueMicrotask(() => this.receive({ type: "pong", id: frame.id }));
  }

  close(): void {
    this.closed = true;
  }

  open(): void {
    this.onopen?.();
  }

  /** Makes the client receive a frame. */
  receive(frame: ServerFrame | object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  /** Makes the client receive a part of a frame, as `forge.v1.parts` has it. */
  receivePart(text: string): void {
    this.onmessage?.({ data: text });
  }

  /** Ends the connection as the node would. */
  end(code = 1006): void {
    this.onclose?.({ code });
  }

  of<Type extends ClientFrame["type"]>(type: Type): FrameOf<Type>[] {
    return this.sent.filter((frame): frame is FrameOf<Type> => frame.type === type);
  }

  welcome(more: object = {}): void {
    this.open();
    this.receive({ type: "welcome", session: "s", node: "n", contract: null, subject: null, expiresAt: null, pingMs: 25_000, ...more });
  }

  /** The latest subscription of a query. */
  sub(name: string): FrameOf<"sub"> {
    const found = this.of("sub").filter((frame) => frame.name === name).at(-1);
    if (!found) throw new Error(`the client did not subscribe to ${name}`);
    return found;
  }

  transition(mods: Mod[], applied: number[] = []): void {
    this.receive({ type: "transition", from: 0, to: 0, mods, applied });
  }

  /** Sends the result of a query to the client. */
  result(name: string, snapshot: unknown, applied: number[] = []): void {
    this.transition([{ id: this.sub(name).id, snapshot, version: JSON.stringify(snapshot) }], applied);
  }
}

export class FakeNode {
  readonly sockets: FakeSocket[] = [];
  readonly forge: Forge;

  constructor(options: Partial<ForgeOptions> = {}) {
    const { sockets } = this;
    class Socket extends FakeSocket {
      constructor(url: URL, offered: string[]) {
        super(url, offered);
        sockets.push(this);
      }
    }
    this.forge = createForge({ url: "http://node.test/", WebSocket: Socket as unknown as typeof WebSocket, ...options });
  }

  /** The latest socket. */
  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error("the client opened no socket");
    return socket;
  }

  /** Connects the client and sends the welcome. */
  async live(more: object = {}): Promise<FakeSocket> {
    this.forge.connect();
    await settled();
    this.socket.welcome(more);
    return this.socket;
  }

  /** The socket that the client opens after the latest one ended, with its welcome sent. */
  async again(more: object = {}, withinMs = 60_000): Promise<FakeSocket> {
    const count = this.sockets.length;
    for (let waited = 0; this.sockets.length === count && waited <= withinMs; waited += 50) await vi.advanceTimersByTimeAsync(50);
    if (this.sockets.length === count) throw new Error("the client did not reconnect");
    this.socket.welcome(more);
    return this.socket;
  }

  state(): string {
    return this.forge.connection.current.state;
  }
}

/** Lets promises settle that are ready to. */
export const settled = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

/** Replaces the globals of the page by fakes; `fire` dispatches an event to the listeners of the client. */
export function stubPage(): { fire(name: string, more?: object): void; document: { visibilityState: string } & EventTarget; navigator: { onLine: boolean } } {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  const navigator = { onLine: true };
  vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
  vi.stubGlobal("removeEventListener", window.removeEventListener.bind(window));
  vi.stubGlobal("document", document);
  vi.stubGlobal("navigator", navigator);
  return {
    document,
    navigator,
    fire: (name, more = {}) => {
      const target = name === "visibilitychange" || name === "resume" ? document : window;
      target.dispatchEvent(Object.assign(new Event(name), more));
    },
  };
}
