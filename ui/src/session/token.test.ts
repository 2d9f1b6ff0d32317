import { expect, test } from "vitest";
import { bearerOf } from "./token";

function token(claims: unknown): string {
  const binary = (value: unknown) => String.fromCharCode(...new TextEncoder().encode(JSON.stringify(value)));
  const part = (value: unknown) => btoa(binary(value)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return `${part({ alg: "HS256" })}.${part(claims)}.c2ln`;
}

test("the claims of a token are read", () => {
  expect(bearerOf(token({ sub: "Anä", exp: 1_700_000_000, roles: ["admin", 3] }))).toEqual({
    subject: "Anä",
    roles: ["admin"],
    expiresAtMs: 1_700_000_000_000,
  });
  expect(bearerOf(token({ sub: "ana", exp: 1 }))?.roles).toEqual([]);
});

test.each(["", "abc", "a.b", "a.!!.c", "a.b.c.d", token("ana"), token({ sub: "ana" }), token(null)])("%s is not a token", (text) => {
  expect(bearerOf(text)).toBeNull();
});
