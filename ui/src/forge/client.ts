// Connections of this page to the node that serves it.

import { type Forge, createForge } from "@forge/client";
import { reportOf } from "../parts/report";
import type { Redeem } from "../session/session.svelte";
import { bearerOf } from "../session/token";
import { api } from "./api";

/** Milliseconds before a live query without a listener ends. Scrolling the table leaves many windows, which the node should not refresh. */
const LINGER_MS = 500;

/** Connects with `token`, which cannot be renewed: the session ends when the token expires. */
export function connect(token: string): Forge {
  const endsAtMs = bearerOf(token)?.expiresAtMs ?? Infinity;
  const getToken = ({ forceRefresh }: { forceRefresh: boolean }) => (forceRefresh && endsAtMs <= Date.now() ? null : token);
  return createForge({ url: "/", getToken, lingerMs: LINGER_MS });
}

/** Redeems a one-time code over a connection without a token. */
export const redeem: Redeem = async (code) => {
  const forge = createForge({ url: "/" });
  const answer = await forge.call(api.forge.redeem, { code });
  forge.close();
  return answer.ok ? { token: answer.data.token } : { report: reportOf(answer.error) };
};
