/** The token in use: asked for once at a time, whoever needs it. */

import { HookcastError } from "./errors.js";
import type { HookcastOptions } from "./types.js";

export const PATIENCE_MS = 30_000;
type Token = string | null;

export interface Tokens {
  /** Whether there can be another token. */
  readonly renewable: boolean;
  /** The token, null for none; not the one that was refused, but a newer one. Raises HookcastError `token_failed`. */
  get(refused?: Token): Promise<Token>;
}

export function createTokens(getToken: HookcastOptions["getToken"]): Tokens {
  let token: Token | undefined = getToken ? undefined : null;
  let asking: Promise<Token> | undefined;

  const call = async () => {
    try {
      token =
        (await Promise.race([
          (async () => getToken?.())(),
          new Promise<never>((_, reject) => {
            AbortSignal.timeout(PATIENCE_MS).onabort = () => reject("No answer");
          }),
        ])) ?? null;
      return token;
    } catch (error) {
      throw new HookcastError("token_failed", `getToken: ${error}`);
    } finally {
      asking = undefined;
    }
  };
  return {
    renewable: !!getToken,
    get: async (refused) => {
      if (token !== refused) return token ?? null;
      asking ??= call();
      return asking;
    },
  };
}
