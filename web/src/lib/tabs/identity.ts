/** The identity behind a token: only tabs with the same identity share a connection. */

/** Claims that change at renewal and grant nothing: RFC 7519, OpenID Connect, Clerk's `fva`, Entra's last three. */
const FLEETING = "exp iat nbf jti auth_time nonce at_hash c_hash fva aio rh uti".split(" ");

/** Return what a renewal does not change: the lasting claims of a JWT, else the token itself. */
export function identityOf(token: string | null): string {
  const claims = Object.entries(claimsOf(`${token}`) ?? {}).filter(([name]) => !FLEETING.includes(name));
  return JSON.stringify(claims.length > 0 ? claims.sort() : token);
}

/** Return the payload of a JWT (RFC 7519 section 3), unverified: whoever holds the token may read it. */
export function claimsOf(token: string): Record<string, unknown> | null {
  const [, payload = "", signature] = token.split(".");
  if (signature === undefined) return null;
  try {
    return Object(JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/"))));
  } catch {
    return null;
  }
}

/** Return the SHA-256 digest in hex: it discloses nothing in the names of locks and channels. */
export async function digest(text: string): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
