import "server-only";
import { createHash, randomBytes } from "node:crypto";
import { cookies } from "next/headers";

export type User = { readonly id: string };

/**
 * REPLACE THIS: answer the user of your own session, or null when nobody is signed in. README.md shows how it looks
 * with Supabase Auth. The id becomes the owner of the user's jobs.
 */
export async function currentUser(): Promise<User | null> {
  const secret = (await cookies()).get(COOKIE)?.value;
  return secret ? guest(secret) : null;
}

// The rest is for the demo, and goes when you have sign-in: whoever submits gets a random cookie, and is its hash.
// Hookcast shows owners in its answers; nobody gets from an id to the cookie.

const COOKIE = "guest";
const DAYS = 30;

/** Makes the visitor a guest. Only in a server action or a route handler: a page cannot set cookies. */
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
