/** The last value that stayed the same for a while: not every change on the way is worth a word. */

import { useEffect, useState } from "react";

const SETTLE_MS = 1_500;

export function useSettled<T>(value: T): T | null {
  const [settled, setSettled] = useState<T | null>(null);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(() => value), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}
