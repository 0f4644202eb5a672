/** Mint stream tokens for the signed-in user. */

import type { Token } from "../index.js";
import { type ServerOptions, serverClient } from "./client.js";
import { PRIVATE } from "./problems.js";
import { type Handler, type PageOptions, postHandler } from "./requests.js";
import { signedIn, type UserOptions } from "./users.js";

/** Options of `tokenHandler`. */
export interface TokenOptions<Context extends readonly unknown[] = [Request]>
  extends ServerOptions,
    UserOptions<Context> {
  /** The lifetime of a token in seconds; 3600 by default. Pages renew it by themselves. */
  readonly expiresIn?: number | undefined;
}

/** Handle POST: answer `{token, expiresAt}`, a token that shows the signed-in user's jobs; 401 if nobody is signed in. */
export function tokenHandler(options: TokenOptions & PageOptions): Handler {
  return postHandler(options, async (request) => Response.json(await tokenFor(options, request), { headers: PRIVATE }));
}

/** Mint a token of the signed-in user. Throws Refused and HookcastError. */
export async function tokenFor<Context extends readonly unknown[]>(
  options: TokenOptions<Context>,
  ...context: Context
): Promise<Token> {
  const sub = await signedIn(options, ...context);
  return serverClient(options).createToken({ sub, expiresIn: options.expiresIn });
}
