/** The current state of one job, from the library's hook, and how long its outcome took to arrive. */

import { useEffect, useRef, useState } from "react";
import type { Job } from "../../lib/index.js";
import { useFalJob } from "../../lib/react/index.js";
import type { Clock } from "../clock";
import { isCopying } from "../files";
import { type Lag, lagOf } from "../lag";
import { isOpen, type Run, type Seen } from "../runs";

export function useWatched(run: Run, clock: Clock, tell: (id: string, seen: Seen) => void): Seen {
  const { id, requestId } = run;
  const [lag, setLag] = useState<Lag | null>(null);
  const openSince = useRef<number | null>(null);
  const measured = useRef(false);
  const measure = ({ completedAt, updatedAt }: Job) => {
    if (measured.current) return;
    measured.current = true;
    const webhookAt = completedAt ?? updatedAt;
    const arrival = { webhookAt, arrivedAt: performance.now(), openSince: openSince.current };
    void clock.sample().then((sample) => setLag(lagOf(arrival, sample)));
  };
  // No timeout: a visible card has to show the outcome, however late.
  const watched = { requestId, initialJob: run.seen.job, keepListening: true };
  const { job, transport } = useFalJob({ ...watched, onCompleted: measure, onFailed: measure });
  // Where files are kept, the webhook has brought the outcome before they are copied.
  const copying = isCopying(job) ? job : null;
  useEffect(() => {
    if (copying) measure(copying);
  });
  useEffect(() => {
    openSince.current = isOpen(transport) ? performance.now() : null;
  }, [transport]);
  useEffect(() => {
    if (requestId !== null) tell(id, { job, transport, lag });
  }, [tell, id, requestId, job, transport, lag]);
  return { job, transport, lag };
}
