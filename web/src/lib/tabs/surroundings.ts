/** What tabs need of the core, which this code imports only as types, and of the page. */

import type { Link } from "../link.js";
import type { Env } from "../transports/transport.js";
import type { topicsOf as TopicsOf } from "../wire.js";
import type { Codec } from "./protocol.js";

export interface Surroundings extends Codec {
  /** The name of the leader's lock and of the channel of all tabs. */
  readonly share: string;
  readonly env: Env;
  readonly openConnection: (env: Env) => Link;
  readonly topicsOf: typeof TopicsOf;
  /** Changes of tabs within this time update the connection once. */
  readonly gatherMs: number;
}
