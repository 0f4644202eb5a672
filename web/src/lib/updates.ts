/** The states of a job as an async iterator. Loaded on demand: it imports only types from the core. */

import type { HookcastError } from "./errors.js";
import type { CallOptions, Job, Transport, WatchOptions } from "./types.js";

/** Yield the states of a job as they arrive, or the newest one to a slow consumer. */
export async function* statesOf(
  watch: (handlers: WatchOptions) => () => void,
  { signal, failFast }: CallOptions,
): AsyncGenerator<Job, void> {
  let failed: HookcastError | undefined;
  let next: Job | undefined;
  let closed = false;
  let wake = () => {};
  const onUpdate = (job: Job) => {
    next = job;
    wake();
  };
  const onTransport = (transport: Transport) => {
    closed = transport === "closed";
    wake();
  };
  const onError = (error: HookcastError) => {
    failed = error;
    wake();
  };
  const stop = watch({ onUpdate, onTransport, ...(failFast && { onError }) });
  signal?.addEventListener("abort", () => wake());
  try {
    while (!closed) {
      signal?.throwIfAborted();
      if (failed) throw failed;
      if (next) {
        const job: Job = next;
        next = undefined;
        yield job;
        if (job.status !== "pending") return;
      } else await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    stop();
  }
}
