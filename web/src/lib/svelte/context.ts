/** The Svelte context that holds the client. */

import { getContext, setContext } from "svelte";
import { createHookcast, type Hookcast, type HookcastOptions } from "../index.js";

const KEY = Symbol.for("hookcast");

/** Provide a client to the components below, from its options or your own. Call it in the script of a root component. */
export function setHookcast(client: Hookcast | HookcastOptions = {}): Hookcast {
  return setContext(KEY, "watch" in client ? client : createHookcast(client));
}

/** Return the client, to submit jobs or to watch them directly. Throws an Error without a `setHookcast` above. */
export function useHookcast(): Hookcast {
  const client = getContext<Hookcast | undefined>(KEY);
  if (client === undefined) throw new Error("Hookcast's functions want setHookcast() in a component above.");
  return client;
}
