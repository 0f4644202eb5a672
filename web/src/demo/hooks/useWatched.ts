/** The current state of one job, from the library's hook, and how long its outcome took to arrive. */

import { useEffect, useRef, useState } from "react";
import type { Job } from "../../lib/index.js";
import { useFalJob } from "../../lib/react/index.js";
import type { Clock } from "../clock";
import { type Lag, lagOf } from "../lag";
import { isOpen, type Run, type Seen } from "../runs";

export function useWatched(run: Run, clock: Clock, tell: (id: string, seen: Seen) => void): Seen {
  const { id, requestId } = run;
  const [lag, setLag] = useState<Lag | null>(null);
  const openSince = useRef<number | null>(null);
  const measure = ({ completedAt }: Job) => {
    const arrival = { completedAt, arrivedAt: performance.now(), openSince: openSince.current };
    void clock.sample().then((sample) => setLag(lagOf(arrival, sample)));
  };
  // No timeout: a visible card has to show the outcome, however late.
  const options = { requestId, keepListening: true, onCompleted: measure, onFailed: measure };
  const { job: newest, transport } = useFalJob(options);
  const job = newest ?? run.seen.job;
  useEffect(() => {
    openSince.current = isOpen(transport) ? performance.now() : null;
  }, [transport]);
  useEffect(() => {
    if (requestId !== null) tell(id, { job, transport, lag });
  }, [tell, id, requestId, job, transport, lag]);
  return { job, transport, lag };
}
