/** What every transport is: opened with topics, it reports states until it ends or is closed. */

import type { Server } from "../http.js";
import type { LinkEvents } from "../link.js";
import type { End } from "../state.js";
import type { HookcastOptions, Job, TransportName } from "../types.js";
import type { Topic } from "../wire.js";

export interface Transport {
  /** Watch exactly these from now on. */
  watch(topics: readonly Topic[]): void;
  /** There is a newer token: use it. Missing where each request asks for the token anyway. */
  renew?(): void;
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

/** What a connection needs, and whom it tells. */
export interface Env extends Server, LinkEvents {
  readonly WebSocket: typeof WebSocket | undefined;
  readonly heartbeatSeconds: number;
  readonly whenHidden: HookcastOptions["whenHidden"];
  /** The transports that may be used, best first. */
  readonly ladder: readonly TransportName[];
}

export type OpenTransport = (env: Env, topics: readonly Topic[], listener: Listener) => Transport;
