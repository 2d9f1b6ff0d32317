/** The signed-in user and the client. The session is stored in the browser, and all tabs share it. */

import { createForge, type Forge } from "@forge/client";

import { contract, type Profile, type Session } from "../forge/api";

const KEY = "taskboard.session";

function read(): Session | undefined {
  const stored = localStorage.getItem(KEY);
  if (stored === null) return undefined;
  try {
    return JSON.parse(stored) as Session;
  } catch {
    localStorage.removeItem(KEY);
    return undefined;
  }
}

class SignIn {
  #session = $state.raw(read());
  /** Why the session ended; empty when the user signed out. */
  notice = $state("");

  readonly forge: Forge = createForge({
    url: "/",
    contract,
    getToken: ({ forceRefresh }) => {
      // This application cannot renew a token: when it expires, the user has to sign in again.
      if (forceRefresh && this.#session) this.#end("Your sign-in has expired. Please sign in again.");
      return this.#session?.token ?? null;
    },
  });

  constructor() {
    addEventListener("storage", ({ key }) => {
      if (key === KEY || key === null) this.#adopt(read());
    });
  }

  get user(): Profile | undefined {
    return this.#session?.user;
  }

  begin(session: Session): void {
    localStorage.setItem(KEY, JSON.stringify(session));
    this.notice = "";
    this.#adopt(session);
  }

  signOut(): void {
    this.#end("");
    this.forge.signOut();
  }

  #end(notice: string): void {
    localStorage.removeItem(KEY);
    this.notice = notice;
    this.#session = undefined;
  }

  #adopt(session: Session | undefined): void {
    if (this.#session?.user.id !== session?.user.id) this.forge.signOut();
    this.#session = session;
    if (session) this.forge.authenticate();
  }
}

export const signIn = new SignIn();
