/** The client with which a server asks Hookcast. */

import { createHookcast, type Hookcast, type HookcastOptions } from "../index.js";

/** Where Hookcast is, and the key that opens it. */
export interface ServerOptions {
  /** Hookcast's URL; by default the environment's `HOOKCAST_URL`, else `http://127.0.0.1:8000`. */
  readonly url?: string | undefined;
  /** One of Hookcast's API keys; by default the environment's `HOOKCAST_API_KEY`. */
  readonly apiKey?: string | null | undefined;
  /** Replaces the global `fetch`. */
  readonly fetch?: typeof fetch | undefined;
}

/** Return a variable of the environment; undefined where it is empty or there is no environment. */
export function environment(name: string): string | undefined {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  return process?.env?.[name] || undefined;
}

/** Create a client with an API key, for a server. Throws an Error in a page, where everybody could read the key. */
export function serverClient({ url, apiKey, fetch }: ServerOptions = {}): Hookcast {
  if (typeof document !== "undefined")
    throw new Error("hookcast/server is for servers: a page cannot keep an API key.");
  const options: HookcastOptions = {
    url: url ?? environment("HOOKCAST_URL") ?? "http://127.0.0.1:8000",
    getToken: () => apiKey ?? environment("HOOKCAST_API_KEY") ?? null,
    ...(fetch && { fetch }),
  };
  return createHookcast(options);
}
