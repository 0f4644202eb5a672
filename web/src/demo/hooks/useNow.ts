/** The time, which goes on while it is asked for. */

import { useEffect, useState } from "react";

const TICK_MS = 250;

/** Milliseconds since 1970 by `clock`; it stands still while `running` is false. */
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
