/** The host and its tabs: a channel to each, and a look at the lock that each holds for as long as it is there. */

import type { Link } from "../link.js";
import type { Env } from "../transports/transport.js";
import { type Host, openHost } from "./host.js";
import { type Codec, encode, type Sent, type Told } from "./protocol.js";

/** The lock and the channel of one tab. */
export function nameOfTab(share: string, tab: string): string {
  return `${share}:${tab}`;
}

export interface Surroundings extends Codec {
  /** Of the share: its lock, and the channel of all its tabs. */
  readonly share: string;
  readonly env: Env;
  readonly openConnection: (env: Env) => Link;
}

/** `hear` is how `own`, the tab that leads, is told. */
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
  /** A tab that closes, crashes or leaves lets go of its lock, and then it is ours. */
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
