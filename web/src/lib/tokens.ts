/** The token in use. Concurrent callers share one call of `getToken`. */

import { HookcastError } from "./errors.js";
import type { HookcastOptions } from "./types.js";

/** The deadline of `getToken`. */
export const PATIENCE_MS = 30_000;
type Token = string | null;

export interface Tokens {
  /** Whether there is a `getToken` to get another token from. */
  readonly renewable: boolean;
  /** Called with each token before it is used. */
  onUse?: (token: Token) => void;
  /** Return the token, null for none; a newer one if it is `refused`. Rejects with HookcastError `token_failed`. */
  get(refused?: Token): Promise<Token>;
}

export function createTokens(getToken: HookcastOptions["getToken"]): Tokens {
  let token: Token | undefined = getToken ? undefined : null;
  let asking: Promise<void> | undefined;

  const call = async () => {
    try {
      token =
        (await Promise.race([
          (async () => getToken?.())(),
          new Promise<never>((_, reject) => {
            AbortSignal.timeout(PATIENCE_MS).onabort = () => reject("No answer");
          }),
        ])) ?? null;
    } catch (error) {
      throw new HookcastError("token_failed", `getToken: ${error}`);
    } finally {
      asking = undefined;
    }
  };
  const tokens: Tokens = {
    renewable: !!getToken,
    get: async (refused) => {
      if (token === refused) {
        asking ??= call();
        await asking;
      }
      tokens.onUse?.(token ?? null);
      return token ?? null;
    },
  };
  return tokens;
}
