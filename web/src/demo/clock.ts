/**
 * The server's time in the page, to a few milliseconds. The clocks are compared as in NTP (RFC 5905 section 8): the
 * server answered at some time between sending and receiving, so half of the shortest round trip is the error bound.
 * The local clock is `performance.now()`, which is monotonic.
 */

import { isRecord } from "./json";

export interface Sample {
  /** Added to `performance.now()`, it gives the server's time in milliseconds since 1970. */
  readonly offset: number;
  /** The error bound in milliseconds, either way. */
  readonly error: number;
}

export interface Clock {
  /** Return a comparison that is at most 30 s old; null if the server does not answer. */
  sample(): Promise<Sample | null>;
  /** Return the server's time if it is known, else this machine's, in milliseconds since 1970. */
  now(): number;
}

const ROUNDS = 5;
const PATIENCE_MS = 3_000;
const FRESH_MS = 30_000;
/** The server's timestamps are truncated to the millisecond. */
const GRAIN_MS = 1;

/** One round trip: local send and receive times, and the server's time in between. */
export interface Trip {
  readonly sent: number;
  readonly received: number;
  readonly server: number;
}

/** Estimate the offset from the shortest round trip, which has the smallest error. */
export function compare(trips: readonly Trip[]): Sample | null {
  const [best] = [...trips].sort((a, b) => a.received - a.sent - (b.received - b.sent));
  if (best === undefined) return null;
  const half = (best.received - best.sent) / 2;
  return { offset: best.server - best.sent - half, error: half + GRAIN_MS };
}

export function createClock(request: typeof fetch, here: () => number = () => performance.now()): Clock {
  let last: { readonly sample: Sample; readonly at: number } | undefined;
  let asking: Promise<Sample | null> | undefined;

  const trip = async (): Promise<Trip> => {
    const sent = here();
    const response = await request("/healthz", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    const received = here();
    const body: unknown = await response.json();
    const server = Date.parse(isRecord(body) ? String(body.now) : "");
    if (Number.isNaN(server)) throw new Error("The answer has no time");
    return { sent, received, server };
  };
  const ask = async () => {
    const trips: Trip[] = [];
    try {
      while (trips.length < ROUNDS) trips.push(await trip());
    } catch {
      // Use the trips that succeeded.
    }
    const sample = compare(trips);
    if (sample !== null) last = { sample, at: here() };
    asking = undefined;
    return sample;
  };
  return {
    sample: async () => {
      if (last !== undefined && here() - last.at < FRESH_MS) return last.sample;
      asking ??= ask();
      return asking;
    },
    now: () => (last === undefined ? Date.now() : here() + last.sample.offset),
  };
}
