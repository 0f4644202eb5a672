/** The leader and its tabs: a channel to each, and a request for the lock that each holds while it lives. */

import type { Link } from "../link.js";
import type { Env } from "../transports/transport.js";
import { type Host, openHost } from "./host.js";
import { type Codec, encode, type Sent, type Told } from "./protocol.js";

/** Return the name of a tab's lock and channel. */
export function nameOfTab(share: string, tab: string): string {
  return `${share}:${tab}`;
}

export interface Surroundings extends Codec {
  /** The name of the leader's lock and of the channel of all tabs. */
  readonly share: string;
  readonly env: Env;
  readonly openConnection: (env: Env) => Link;
}

/** Lead the tabs. `hear` delivers messages to `own`, the leader itself. */
export function openLead(around: Surroundings, own: string, hear: (told: Told) => void): Host {
  const channels = new Map<string, BroadcastChannel>();
  const over = new AbortController();
  const tell = (tab: string, told: Told) =>
    tab === own ? hear(told) : channels.get(tab)?.postMessage(encode(told, around) satisfies Sent);
  const host = openHost(around.env, around.openConnection, tell);

  const forget = (tab: string) => {
    channels.get(tab)?.close();
    channels.delete(tab);
    host.forget(tab);
  };
  /** Open a channel to a tab and request its lock: it is granted when the tab closes, crashes or leaves. */
  const meet = (tab: string) => {
    const name = nameOfTab(around.share, tab);
    channels.set(tab, new BroadcastChannel(name));
    const gone = () => {
      if (!over.signal.aborted) forget(tab);
    };
    navigator.locks.request(name, { signal: over.signal }, gone).catch(() => {});
  };
  return {
    ...host,
    forget,
    take: (want) => {
      if (want.tab !== own && !channels.has(want.tab)) meet(want.tab);
      host.take(want);
    },
    close: () => {
      host.close();
      over.abort();
      for (const channel of channels.values()) channel.close();
      channels.clear();
    },
  };
}
