/** The token in use. Concurrent callers share one call of `getToken`. */

import { HookcastError } from "./errors.js";
import type { HookcastOptions } from "./types.js";

/** The deadline of `getToken`. */
export const PATIENCE_MS = 30_000;
type Token = string | null;

export interface Tokens {
  /** Whether there is a `getToken` to get another token from. */
  readonly renewable: boolean;
  /** Return the token, null for none; a newer one if it is `refused`. Rejects with HookcastError `token_failed`. */
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
