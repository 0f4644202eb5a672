/** State and action of a job's cancel button. */

import { useState } from "react";
import type { HookcastError } from "../../lib/index.js";
import { useHookcast } from "../../lib/react/index.js";

export interface Cancel {
  readonly asking: boolean;
  /** Why the last request failed, null if it did not. */
  readonly trouble: string | null;
  readonly cancel: () => void;
}

export function useCancel(requestId: string | null): Cancel {
  const client = useHookcast();
  const [asking, setAsking] = useState(false);
  const [trouble, setTrouble] = useState<string | null>(null);
  const ask = async (id: string) => {
    setAsking(true);
    setTrouble(null);
    try {
      await client.cancel(id);
    } catch (error) {
      setTrouble(troubleWords(error as HookcastError));
    }
    setAsking(false);
  };
  return { asking, trouble, cancel: () => requestId !== null && void ask(requestId) };
}

function troubleWords({ code, status }: HookcastError): string | null {
  if (code === "already_terminal") return null;
  if (status === 401 || status === 403) return "This key may not cancel jobs. The job goes on.";
  return "The cancel request did not get through. The job goes on.";
}
