/** The interface of all transports: opened with topics, a transport reports states until it ends or is closed. */

import type { Server } from "../http.js";
import type { LinkEvents } from "../link.js";
import type { End } from "../state.js";
import type { HookcastOptions, Job, TransportName } from "../types.js";
import type { Topic } from "../wire.js";

export interface Transport {
  /** Watch exactly these topics from now on. */
  watch(topics: readonly Topic[]): void;
  /** Switch to the newer token. Missing where each request gets the token anyway. */
  renew?(): void;
  /** Close, and stop reporting. Idempotent. */
  close(): void;
}

/** What a transport reports. It is closed once it has reported `ended`. */
export interface Listener {
  /** Something was received: a sign of life. */
  alive(): void;
  /** A state was received; null if it could not be parsed. */
  state(job: Job | null): void;
  /** The token is about to expire. */
  expiring(): void;
  /** The token does not grant these topics. */
  forbidden(topics: readonly Topic[]): void;
  ended(end: End): void;
}

/** What a connection needs, and the events that it reports. */
export interface Env extends Server, LinkEvents {
  readonly WebSocket: typeof WebSocket | undefined;
  readonly heartbeatSeconds: number;
  readonly whenHidden: HookcastOptions["whenHidden"];
  /** The permitted transports, best first. */
  readonly ladder: readonly TransportName[];
}

export type OpenTransport = (env: Env, topics: readonly Topic[], listener: Listener) => Transport;
