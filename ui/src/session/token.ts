// The token of the dashboard, in the local storage of the browser: all tabs share one sign-in, which lasts until the token expires.

const KEY = "forge.token";

/** The claims of a token. The page only shows them; the node verifies them. */
export type Bearer = { readonly subject: string; readonly roles: readonly string[]; readonly expiresAtMs: number };

export function stored(): string | null {
  return localStorage.getItem(KEY);
}

export function store(token: string): void {
  localStorage.setItem(KEY, token);
}

export function removeStored(): void {
  localStorage.removeItem(KEY);
}

/** Calls `changed` when another tab stores or removes the token. */
export function onStoredElsewhere(changed: () => void): void {
  // The key is null when a tab clears the whole storage.
  addEventListener("storage", ({ key }) => {
    if (key === KEY || key === null) changed();
  });
}

/** Reads the claims of a JSON Web Token; null when `token` is not one. */
export function bearerOf(token: string): Bearer | null {
  const [, payload, signature, ...rest] = token.split(".");
  if (payload === undefined || signature === undefined || rest.length > 0) return null;
  const claims = decodePayload(payload);
  if (typeof claims !== "object" || claims === null || !("sub" in claims) || !("exp" in claims)) return null;
  const { sub, exp } = claims;
  const roles = "roles" in claims && Array.isArray(claims.roles) ? claims.roles.filter((role) => typeof role === "string") : [];
  return typeof sub === "string" && typeof exp === "number" ? { subject: sub, roles, expiresAtMs: exp * 1_000 } : null;
}

function decodePayload(payload: string): unknown {
  try {
    const bytes = Uint8Array.from(atob(payload.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}
