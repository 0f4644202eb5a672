/** The lag between fal's webhook arriving at the server and the page receiving the outcome; pure. */

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
  /** When the webhook arrived, by the server's clock. */
  readonly webhookAt: string;
  /** When the page received it, by `performance.now()`. */
  readonly arrivedAt: number;
  /** When the connection had opened, by `performance.now()`; null if there was none. */
  readonly openSince: number | null;
}

export function lagOf({ webhookAt, arrivedAt, openSince }: Arrival, sample: Sample | null): Lag {
  const webhook = Date.parse(webhookAt);
  if (openSince === null) return { kind: "late" };
  if (sample === null || Number.isNaN(webhook)) return { kind: "unknown" };
  const { offset, error } = sample;
  if (openSince + offset > webhook + error) return { kind: "late" };
  const ms = arrivedAt + offset - webhook;
  if (ms < -error) return { kind: "unknown" };
  return { kind: "measured", ms: Math.max(0, ms), error };
}
