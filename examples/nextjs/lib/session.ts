import "server-only";
import { createHash, randomBytes } from "node:crypto";
import { cookies } from "next/headers";

export type User = { readonly id: string };

/**
 * REPLACE THIS: return the user of your own session, or null if nobody is signed in. README.md has an example with
 * Supabase Auth. The id becomes the `owner` of the user's jobs.
 */
export async function currentUser(): Promise<User | null> {
  const secret = (await cookies()).get(COOKIE)?.value;
  return secret ? guest(secret) : null;
}

// The rest is for the demo; delete it once you have sign-in. At the first submit a guest gets a random cookie; its hash
// is the user id, because Hookcast's responses contain owners and a hash does not reveal the cookie.

const COOKIE = "guest";
const DAYS = 30;

/** Sign the visitor in as a guest. Call it in a server action or a route handler: a page cannot set cookies. */
export async function signInAsGuest(): Promise<User> {
  const secret = randomBytes(32).toString("base64url");
  (await cookies()).set(COOKIE, secret, {
    httpOnly: true,
    sameSite: "lax",
    secure: process.env.NODE_ENV === "production",
    maxAge: DAYS * 24 * 3600,
  });
  return guest(secret);
}

function guest(secret: string): User {
  return { id: `guest-${createHash("sha256").update(secret).digest("hex").slice(0, 32)}` };
}
