/** The time between the server's recording of an outcome and its arrival in the page; pure. */

import type { Sample } from "./clock";

/**
 * Milliseconds, and by how many they may be wrong. `late`: the outcome was there before the connection that brought it,
 * as after a reload, so that the time would say when the page came and not how fast the server is. `unknown`: the
 * clocks could not be compared.
 */
export type Lag =
  | { readonly kind: "measured"; readonly ms: number; readonly error: number }
  | { readonly kind: "late" }
  | { readonly kind: "unknown" };

export interface Arrival {
  /** When the server recorded the outcome, by its clock. */
  readonly completedAt: string | null;
  /** When it came, by `performance.now()`. */
  readonly arrivedAt: number;
  /** Since when the connection had been open by then, by `performance.now()`; null while there was none. */
  readonly openSince: number | null;
}

export function lagOf({ completedAt, arrivedAt, openSince }: Arrival, sample: Sample | null): Lag {
  const completed = Date.parse(completedAt ?? "");
  if (openSince === null) return { kind: "late" };
  if (sample === null || Number.isNaN(completed)) return { kind: "unknown" };
  const { offset, error } = sample;
  if (openSince + offset > completed + error) return { kind: "late" };
  const ms = arrivedAt + offset - completed;
  if (ms < -error) return { kind: "unknown" };
  return { kind: "measured", ms: Math.max(0, ms), error };
}
