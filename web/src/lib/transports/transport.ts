/** The interface of all transports: a transport reports the states of the topics it is given, until it ends or is closed. */

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

/** What a transport needs, and what it reports to. */
export type TransportEnv = Omit<Env, keyof Listener> & Listener;
/** What all transports of a connection share: everything but the signs of life of each. */
export type SharedEnv = Omit<TransportEnv, "alive" | "ended">;

/** Open a transport; it has no topics before `watch`. */
export type OpenTransport = (env: TransportEnv) => Transport;
