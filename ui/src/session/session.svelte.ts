// The session of this tab. It begins with a one-time link or a pasted token, and ends when the user signs out or the node refuses the token.
//
//   redeeming ──ok──▶ signedIn ──expired, forbidden, signed out──▶ signedOut ──token pasted──▶ signedIn
//       └──refused──▶ codeRefused ──token pasted──▶ signedIn
//
// A refused code does not end the session of a tab that has a token: the browser's back button may open the used link again.

import type { Report } from "../parts/report";
import { type Bearer, bearerOf, removeStored, store, stored } from "./token";

export type SignOutReason = "unknown" | "expired" | "forbidden" | "signedOut";

export type SessionState =
  | { readonly is: "redeeming" }
  | { readonly is: "signedIn"; readonly token: string; readonly bearer: Bearer | null }
  | { readonly is: "signedOut"; readonly reason: SignOutReason; readonly bearer: Bearer | null }
  | { readonly is: "codeRefused"; readonly report: Report };

/** Redeems a one-time code. */
export type Redeem = (code: string) => Promise<{ readonly token: string } | { readonly report: Report }>;

export class TabSession {
  #state = $state.raw<SessionState>({ is: "signedOut", reason: "unknown", bearer: null });

  get state(): SessionState {
    return this.#state;
  }

  /** Begins the session with the one-time code of the address, which is removed from the address, or with the stored token. */
  async open(redeem: Redeem): Promise<void> {
    const address = new URL(location.href);
    const code = address.searchParams.get("code");
    const token = stored();
    if (code === null) {
      if (token !== null) this.begin(token);
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

  /** Begins a session with `token` and stores the token. */
  begin(token: string): void {
    store(token);
    this.#state = { is: "signedIn", token, bearer: bearerOf(token) };
  }

  /** Ends the session and removes the stored token. */
  end(reason: SignOutReason): void {
    const bearer = this.#state.is === "signedIn" ? this.#state.bearer : null;
    removeStored();
    this.#state = { is: "signedOut", reason, bearer };
  }
}

export const tabSession = new TabSession();
