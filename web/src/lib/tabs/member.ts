/**
 * A tab among those that share a connection: it waits for the lock of the one that leads, asks for what it wants, and
 * takes the lock from one that holds it and does not answer.
 */

import type { Host } from "./host.js";
import { nameOfTab, openLead, type Surroundings } from "./lead.js";
import { decode, type Lead, type Sent, type Told, type Want } from "./protocol.js";

/** Who leads has answered within this time, or is asked once more, then robbed. Not all tabs do so at once. */
const ANSWER_MS = 2_000;
const SPREAD_MS = 500;
const ASKS = 2;

export interface Member {
  want(wishes: Want["wishes"]): void;
  /** Ask whether anybody leads. */
  check(): void;
  /** The page is back; `certain`: whatever was open is dead. */
  wake(certain: boolean): void;
  /** Whether it is needed though it wants nothing: others live on its connection. */
  serves(): boolean;
  /** For good: another one leads. */
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
  /** Whether the page of the one that leads is hidden, where timers are slow. */
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
  /** Ends when the lock was had and is lost, or the wait for it is called off. */
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
  /** Robbed: another one leads by now. */
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
  // Whoever leads sees by this lock that the tab is there.
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
