/** What a card can ask the server about its job: to cancel it, and to submit its input again. */

import { useState } from "react";
import type { HookcastError } from "../../lib/index.js";
import { useHookcast } from "../../lib/react/index.js";
import { cancelTrouble, retryTrouble } from "../words";

export interface Actions {
  readonly asking: boolean;
  /** Why the last request failed, null if it did not. */
  readonly trouble: string | null;
  readonly cancel: () => void;
  /** The list shows the new job. */
  readonly retry: () => void;
}

export function useActions(requestId: string | null): Actions {
  const client = useHookcast();
  const [asking, setAsking] = useState(false);
  const [trouble, setTrouble] = useState<string | null>(null);
  const ask = async (act: (id: string) => Promise<unknown>, words: (error: HookcastError) => string | null) => {
    if (requestId === null || asking) return;
    setAsking(true);
    setTrouble(null);
    try {
      await act(requestId);
    } catch (error) {
      setTrouble(words(error as HookcastError));
    }
    setAsking(false);
  };
  return {
    asking,
    trouble,
    cancel: () => void ask((id) => client.cancel(id), cancelTrouble),
    retry: () => void ask((id) => client.retry(id), retryTrouble),
  };
}
