/** The client that the hooks of a tree use. */

import { createContext, createElement, type ReactElement, type ReactNode, useContext, useState } from "react";
import { createHookcast, type Hookcast, type HookcastOptions } from "../index.js";

const Context = createContext<Hookcast | null>(null);

/** A client of yours, or the options of one that the provider makes; changed options change nothing. */
export type HookcastProviderProps = { readonly children?: ReactNode } & (
  | { readonly client: Hookcast }
  | (HookcastOptions & { readonly client?: undefined })
);

/** Connects when the first hook watches something, and never on a server. */
export function HookcastProvider({ children, client, ...options }: HookcastProviderProps): ReactElement {
  const [own] = useState(() => client ?? createHookcast(options));
  return createElement(Context.Provider, { value: client ?? own }, children);
}

/** The client, to submit with or to watch by hand. Raises an Error outside a provider. */
export function useHookcast(): Hookcast {
  const client = useContext(Context);
  if (client === null) throw new Error("Hookcast's hooks want a <HookcastProvider> around them.");
  return client;
}
