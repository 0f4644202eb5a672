/** The transports: how to open each, and what it can carry. */

import type { TransportName } from "../types.js";
import { openLongPolling, openPolling } from "./polling.js";
import { openEventStreams } from "./sse.js";
import type { OpenTransport } from "./transport.js";
import { openWebSocket } from "./websocket.js";

/**
 * How to open each transport and, for streams, the maximum number of topics; topics past it are polled gently. Streams
 * send heartbeats, so silence ends them. SSE: four requests of 200, of the browser's six HTTP/1.1 connections per host.
 */
export const KINDS: Record<TransportName, readonly [open: OpenTransport, topics?: number]> = {
  websocket: [openWebSocket, 1000],
  sse: [openEventStreams, 800],
  "long-poll": [openLongPolling],
  poll: [openPolling],
};

/** The transports, best first. */
export const LADDER = Object.keys(KINDS) as readonly TransportName[];
