/** The current time, updated four times a second. */

import { useEffect, useState } from "react";

const TICK_MS = 250;

/** Return `clock`'s time in milliseconds since 1970; it does not advance while `running` is false. */
export function useNow(clock: { now(): number }, running: boolean): number {
  const [now, setNow] = useState(() => clock.now());
  useEffect(() => {
    if (!running) return;
    setNow(clock.now());
    const timer = setInterval(() => setNow(clock.now()), TICK_MS);
    return () => clearInterval(timer);
  }, [clock, running]);
  return now;
}
