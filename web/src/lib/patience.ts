/** Wait, and count how long a page has waited for something, without the time that it was asleep. */

/** How often the time is counted. A longer gap between two ticks, with as much again for a busy page, is sleep. */
export const TICK_MS = 5_000;

/** The milliseconds awake so far, kept from one countdown to the next. */
export interface Waited {
  ms: number;
}

/** Call `expire` once, when `waited` reaches `limit` milliseconds. Returns the function that stops the countdown. */
export function countDown(waited: Waited, limit: number, expire: () => void): () => void {
  let last = Date.now();
  let timer: ReturnType<typeof setTimeout>;

  const count = () => {
    const now = Date.now();
    const gap = now - last;
    // Timers stop while the machine sleeps or the page is frozen; the clock goes on, and may be set back.
    if (gap > 0 && gap <= 2 * TICK_MS) waited.ms += gap;
    last = now;
  };
  const wait = () => {
    timer = setTimeout(tick, Math.min(TICK_MS, limit - waited.ms));
  };
  const tick = () => {
    count();
    if (waited.ms < limit) wait();
    else expire();
  };
  wait();
  return () => {
    clearTimeout(timer);
    count();
  };
}

/** Wait. Rejects with the reason of `signal` once that aborts. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  const over = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  await new Promise<unknown>((resolve) => {
    timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", resolve, over);
  });
  clearTimeout(timer);
  over.abort();
  signal?.throwIfAborted();
}
