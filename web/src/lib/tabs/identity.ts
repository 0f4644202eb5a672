/** Whom a token stands for: only tabs of the same one share a connection. */

/** Claims that change at a renewal and open nothing: RFC 7519, OpenID Connect, Clerk's `fva`, Entra's last three. */
const FLEETING = "exp iat nbf jti auth_time nonce at_hash c_hash fva aio rh uti".split(" ");

/** What stays as it is when the token is renewed: the claims of a JWT, else the token itself. */
export function identityOf(token: string | null): string {
  const claims = Object.entries(claimsOf(token ?? "") ?? {}).filter(([name]) => !FLEETING.includes(name));
  return JSON.stringify(claims.length > 0 ? claims.sort() : token);
}

/** The payload of a JWT (RFC 7519 section 3), unverified: who has the token may read it. */
function claimsOf(token: string): object | null {
  const [, payload = "", signature] = token.split(".");
  if (signature === undefined) return null;
  try {
    return Object(JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/"))));
  } catch {
    return null;
  }
}

/** SHA-256 in hex: what may stand in names that anybody sees. */
export async function digest(text: string): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
