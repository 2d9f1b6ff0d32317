/** Who is signed in. It is kept in this browser, and all tabs agree on it. */

import { createForge, type Forge } from "@forge/client";

import { contract, type Profile, type Session } from "../forge/api";

const KEY = "taskboard.session";

function read(): Session | undefined {
  const kept = localStorage.getItem(KEY);
  if (kept === null) return undefined;
  try {
    return JSON.parse(kept) as Session;
  } catch {
    localStorage.removeItem(KEY);
    return undefined;
  }
}

class SignIn {
  #session = $state.raw(read());
  /** Why nobody is signed in any more. */
  notice = $state("");

  readonly forge: Forge = createForge({
    url: "/",
    contract,
    getToken: ({ forceRefresh }) => {
      // This application has no way to renew a token: who was signed in for long enough signs in again.
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
