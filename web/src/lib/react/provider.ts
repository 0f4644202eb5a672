/** The React context that holds the client. */

import { createContext, createElement, type ReactElement, type ReactNode, useContext, useState } from "react";
import { createHookcast, type Hookcast, type HookcastOptions } from "../index.js";

const Context = createContext<Hookcast | null>(null);

/** Your own client, or the options of the one that the provider creates. Options are read once; changes are ignored. */
export type HookcastProviderProps = { readonly children?: ReactNode } & (
  | { readonly client: Hookcast }
  | (HookcastOptions & { readonly client?: undefined })
);

/** Provide a client to the hooks below. It connects when a hook first watches something, never on a server. */
export function HookcastProvider({ children, client, ...options }: HookcastProviderProps): ReactElement {
  const [own] = useState(() => client ?? createHookcast(options));
  return createElement(Context.Provider, { value: client ?? own }, children);
}

/** Return the client, to submit jobs or to watch them directly. Throws an Error outside a `HookcastProvider`. */
export function useHookcast(): Hookcast {
  const client = useContext(Context);
  if (client === null) throw new Error("Hookcast's hooks want a <HookcastProvider> around them.");
  return client;
}
