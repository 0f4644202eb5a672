/** The leader and its tabs: a channel to each, and a request for the lock that each holds while it lives. */

import { Host } from "./host.js";
import { encode, type Sent, type Told, type Want } from "./protocol.js";
import type { Surroundings } from "./surroundings.js";

/** Return the name of a tab's lock and channel. */
export function nameOfTab(share: string, tab: string): string {
  return `${share}:${tab}`;
}

export class Lead extends Host {
  readonly #share: string;
  readonly #own: string;
  readonly #channels: Map<string, BroadcastChannel>;
  readonly #over = new AbortController();

  /** Lead the tabs. `hear` delivers messages to `own`, the leader itself. */
  constructor(around: Surroundings, own: string, hear: (told: Told) => void) {
    const channels = new Map<string, BroadcastChannel>();
    super(around, (tab, told) =>
      tab === own ? hear(told) : channels.get(tab)?.postMessage(encode(told, around) satisfies Sent),
    );
    this.#share = around.share;
    this.#own = own;
    this.#channels = channels;
  }

  override take(want: Want): void {
    if (want.tab !== this.#own && !this.#channels.has(want.tab)) this.#meet(want.tab);
    super.take(want);
  }

  override forget(tab: string): void {
    this.#channels.get(tab)?.close();
    this.#channels.delete(tab);
    super.forget(tab);
  }

  override close(): void {
    super.close();
    this.#over.abort();
    for (const channel of this.#channels.values()) channel.close();
    this.#channels.clear();
  }

  /** Open a channel to a tab and request its lock: it is granted when the tab closes, crashes or leaves. */
  #meet(tab: string): void {
    const name = nameOfTab(this.#share, tab);
    const { signal } = this.#over;
    this.#channels.set(tab, new BroadcastChannel(name));
    const gone = () => {
      if (!signal.aborted) this.forget(tab);
    };
    navigator.locks.request(name, { signal }, gone).catch(() => {});
  }
}
