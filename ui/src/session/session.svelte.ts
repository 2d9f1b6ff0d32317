// The sign-in of this browser, which all of its tabs share. It begins with a one-time link or a pasted token, and ends when the user signs out
// or the node refuses the token. What one tab begins or ends, the others follow.
//
//   redeeming ──ok──▶ signedIn ──expired, forbidden, signed out──▶ signedOut ──token pasted, sign-in elsewhere──▶ signedIn
//       └──refused──▶ codeRefused ──token pasted──▶ signedIn
//
// A refused code does not end the session of a browser that has a token: the browser's back button may open the used link again.

import type { Report } from "../parts/report";
import { type Bearer, bearerOf, onStoredElsewhere, removeStored, store, stored } from "./token";

export type SignOutReason = "unknown" | "expired" | "forbidden" | "signedOut" | "elsewhere";

export type SessionState =
  | { readonly is: "redeeming" }
  | { readonly is: "signedIn"; readonly token: string; readonly bearer: Bearer | null }
  | { readonly is: "signedOut"; readonly reason: SignOutReason; readonly bearer: Bearer | null }
  | { readonly is: "codeRefused"; readonly report: Report };

/** Redeems a one-time code. */
export type Redeem = (code: string) => Promise<{ readonly token: string } | { readonly report: Report }>;

export class BrowserSession {
  #state = $state.raw<SessionState>({ is: "signedOut", reason: "unknown", bearer: null });

  get state(): SessionState {
    return this.#state;
  }

  /** Begins the session with the one-time code of the address, which is removed from the address, or with the stored token. */
  async open(redeem: Redeem): Promise<void> {
    const address = new URL(location.href);
    const code = address.searchParams.get("code");
    const token = unexpired(stored());
    onStoredElsewhere(() => this.#follow());
    if (code === null) {
      if (token !== null) this.begin(token);
      else if (stored() !== null) this.end("expired");
      return;
    }
    address.searchParams.delete("code");
    history.replaceState(null, "", address);
    this.#state = { is: "redeeming" };
    const redeemed = await redeem(code);
    if ("token" in redeemed) this.begin(redeemed.token);
    else if (token !== null) this.begin(token);
    else this.#state = { is: "codeRefused", report: redeemed.report };
  }

  /** Begins a session with `token` and stores the token, which signs in the other tabs as well. */
  begin(token: string): void {
    store(token);
    this.#show(token);
  }

  /** Ends the session and removes the stored token, which signs out the other tabs as well. */
  end(reason: SignOutReason): void {
    removeStored();
    this.#hide(reason);
  }

  /** Another tab has changed the stored token. */
  #follow(): void {
    const token = unexpired(stored());
    if (token === null) this.#hide("elsewhere");
    else if (this.#state.is !== "signedIn" || this.#state.token !== token) this.#show(token);
  }

  #show(token: string): void {
    this.#state = { is: "signedIn", token, bearer: bearerOf(token) };
  }

  /** A tab that is signed out already keeps its reason. */
  #hide(reason: SignOutReason): void {
    if (this.#state.is === "signedOut" && reason === "elsewhere") return;
    const bearer = this.#state.is === "signedIn" ? this.#state.bearer : null;
    this.#state = { is: "signedOut", reason, bearer };
  }
}

/** `token`, unless its time is over. A text that is not a token is left to the node, which refuses it. */
function unexpired(token: string | null): string | null {
  const expiresAtMs = token === null ? undefined : bearerOf(token)?.expiresAtMs;
  return expiresAtMs !== undefined && expiresAtMs <= Date.now() ? null : token;
}

export const browserSession = new BrowserSession();
