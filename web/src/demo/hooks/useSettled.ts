/** Debouncing: the last value that was stable for 1.5 s, so that brief changes are not announced. */

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
