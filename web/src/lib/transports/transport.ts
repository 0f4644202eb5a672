/** What every transport is: opened with topics, it reports states until it ends or is closed. */

import type { Server } from "../http.js";
import type { End } from "../state.js";
import type { Job } from "../types.js";
import type { Topic } from "../wire.js";

export interface Transport {
  /** Watch exactly these from now on. */
  watch(topics: readonly Topic[]): void;
  /** There is a newer token: use it. */
  renew(): void;
  /** Say nothing any more. Idempotent. */
  close(): void;
}

/** What it tells. After `ended` it says nothing more. */
export interface Listener {
  /** Something came in. */
  alive(): void;
  /** A state came; null when it could not be read. */
  state(job: Job | null): void;
  /** The token is about to expire. */
  expiring(): void;
  /** The token does not open these. */
  forbidden(topics: readonly Topic[]): void;
  ended(end: End): void;
}

export interface Env extends Server {
  readonly WebSocket: typeof WebSocket | undefined;
  readonly heartbeatMs: number;
  /** The newest known version of a job, 0 for none. */
  readonly version: (requestId: string) => number;
  /** Milliseconds between two requests. */
  readonly interval: (topic: Topic) => number;
}

export type OpenTransport = (env: Env, topics: readonly Topic[], listener: Listener) => Transport;
