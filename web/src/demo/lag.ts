/** The lag between the server recording an outcome and the page receiving it; pure. */

import type { Sample } from "./clock";

/**
 * The lag in milliseconds with its error bound. `late`: the outcome is older than the connection that delivered it, as
 * after a reload, so the difference would measure the page and not the server. `unknown`: the clocks could not be
 * compared.
 */
export type Lag =
  | { readonly kind: "measured"; readonly ms: number; readonly error: number }
  | { readonly kind: "late" }
  | { readonly kind: "unknown" };

export interface Arrival {
  /** When the server recorded the outcome, by the server's clock. */
  readonly completedAt: string | null;
  /** When the page received it, by `performance.now()`. */
  readonly arrivedAt: number;
  /** When the connection had opened, by `performance.now()`; null if there was none. */
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
