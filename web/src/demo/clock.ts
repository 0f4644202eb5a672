/**
 * The server's time in the page, to a few milliseconds. Two clocks are compared as NTP does it (RFC 5905 section 8):
 * the answer to a request was written somewhere between sending and receiving, so half of the quickest round trip is
 * the error. `performance.now()` is our side: it never jumps.
 */

import { isRecord } from "./json";

export interface Sample {
  /** Add this to `performance.now()` for the server's time in milliseconds since 1970. */
  readonly offset: number;
  /** Milliseconds by which it may be wrong, either way. */
  readonly error: number;
}

export interface Clock {
  /** A fresh comparison; null where the server does not answer. */
  sample(): Promise<Sample | null>;
  /** The server's time as far as it is known, else this machine's; milliseconds since 1970. */
  now(): number;
}

const ROUNDS = 5;
const PATIENCE_MS = 3_000;
const FRESH_MS = 30_000;
/** The server's times are cut to the millisecond. */
const GRAIN_MS = 1;

/** One round trip: when it began and ended here, and the server's time in between. */
export interface Trip {
  readonly sent: number;
  readonly received: number;
  readonly server: number;
}

/** The quickest trip tells most. */
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
      // What has been measured before counts.
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
