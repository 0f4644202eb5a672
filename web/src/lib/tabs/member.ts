/**
 * A tab that shares a connection: it queues for the leader's lock, sends the leader what it wants, and steals the lock
 * from a leader that does not answer.
 */

import type { Host } from "./host.js";
import { nameOfTab, openLead, type Surroundings } from "./lead.js";
import { decode, type Lead, type Sent, type Told, type Want } from "./protocol.js";

/** The leader must answer within this time; after `ASKS` requests its lock is stolen. The spread avoids a stampede. */
const ANSWER_MS = 2_000;
const SPREAD_MS = 500;
const ASKS = 2;

export interface Member {
  want(wishes: Want["wishes"]): void;
  /** Check that there is a leader. */
  check(): void;
  /** Reconnect what may have died: the page is back. `certain`: every open connection is dead. */
  wake(certain: boolean): void;
  /** Return whether other tabs depend on this one's connection. */
  serves(): boolean;
  /** Leave permanently; if this tab led, another one takes over. */
  leave(): void;
}

export function join(around: Surroundings): Member {
  const { share, env } = around;
  const tab = crypto.randomUUID();
  const left = new AbortController();
  const gone = new Promise<void>((resolve) => left.signal.addEventListener("abort", () => resolve()));
  const all = new BroadcastChannel(share);
  const own = new BroadcastChannel(nameOfTab(share, tab));
  let wishes: Want["wishes"] = [];
  let present = false;
  let host: Host | undefined;
  /** Whether the leader's page is hidden, where timers are throttled. */
  let slow = false;
  let queue = new AbortController();
  let unanswered = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const ask = (wake = false) => {
    const want: Want = { type: "want", tab, wishes, hidden: env.hidden(), wake };
    if (host) return host.take(want);
    if (!present) return;
    all.postMessage(want);
    timer ??= setTimeout(doubt, ANSWER_MS + Math.random() * SPREAD_MS);
  };
  const doubt = () => {
    timer = undefined;
    if (host) return;
    unanswered += 1;
    if (unanswered < ASKS) return ask();
    queue.abort();
    void compete({ steal: true });
  };
  const answered = () => {
    clearTimeout(timer);
    timer = undefined;
    unanswered = 0;
  };

  const hear = (told: Told | undefined) => {
    answered();
    if (told?.type === "state") env.state(told.job);
    if (told?.type === "error") env.error(told.error, told.topics);
    if (told?.type !== "here") return;
    slow = told.hidden;
    env.transport(told.transport);
  };
  own.onmessage = ({ data }: MessageEvent<Sent>) => hear(decode(data, around));
  all.onmessage = ({ data }: MessageEvent<Want | Lead>) => {
    if (data.type === "want") return host?.take(data);
    answered();
    if (!host) ask();
  };

  const lead = () => {
    if (left.signal.aborted) return;
    answered();
    host = openLead(around, tab, hear);
    all.postMessage({ type: "lead" } satisfies Lead);
    ask();
    return host;
  };
  /** Request the leader's lock. Returns once the lock was held and lost, or the request was aborted. */
  const compete = async (options: LockOptions) => {
    let mine: Host | undefined;
    const rule = () => {
      mine = lead();
      return mine && gone;
    };
    await navigator.locks.request(share, options, rule).catch(() => {});
    mine?.close();
    if (host === mine) host = undefined;
    if (mine && !left.signal.aborted) again();
  };
  /** Follow after the lock was stolen: another tab leads by now. */
  const again = () => {
    enqueue();
    ask();
  };
  const enqueue = () => {
    queue = new AbortController();
    void compete({ signal: queue.signal });
  };
  const enter = () => {
    if (left.signal.aborted) return;
    present = true;
    enqueue();
    ask();
    return gone;
  };
  // The leader sees by this lock that the tab is alive.
  navigator.locks.request(nameOfTab(share, tab), enter).catch(() => {});

  return {
    want: (names) => {
      wishes = names;
      ask();
    },
    check: () => ask(slow && !env.hidden()),
    wake: (certain) => (host ? host.page("wake", certain) : ask(true)),
    serves: () => host?.serves(tab) ?? false,
    leave: () => {
      answered();
      host?.close();
      left.abort();
      queue.abort();
      all.close();
      own.close();
    },
  };
}
