/**
 * A tab that shares a connection: it queues for the leader's lock, sends the leader what it wants, and steals the lock
 * from a leader that does not answer.
 */

import { Lead, nameOfTab } from "./lead.js";
import { decode, type Leads, type Sent, type Told, type Want } from "./protocol.js";
import type { Surroundings } from "./surroundings.js";

/** The leader must answer within this time; after `ASKS` requests its lock is stolen. The spread avoids a stampede. */
const ANSWER_MS = 2_000;
const SPREAD_MS = 500;
const ASKS = 2;

export class Member {
  readonly #around: Surroundings;
  readonly #tab = crypto.randomUUID();
  readonly #left = new AbortController();
  readonly #gone = new Promise<unknown>((resolve) => {
    this.#left.signal.onabort = resolve;
  });
  readonly #all: BroadcastChannel;
  readonly #own: BroadcastChannel;
  #wishes: Want["wishes"] = [];
  #present = false;
  #lead: Lead | undefined;
  /** Whether the leader's page is hidden, where timers are throttled. */
  #slow = false;
  #queue = new AbortController();
  #unanswered = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Join the tabs. */
  constructor(around: Surroundings) {
    const { share } = around;
    const name = nameOfTab(share, this.#tab);
    this.#around = around;
    this.#all = new BroadcastChannel(share);
    this.#own = new BroadcastChannel(name);
    this.#own.onmessage = ({ data }: MessageEvent<Sent>) => this.#hear(decode(data, around));
    this.#all.onmessage = ({ data }: MessageEvent<Want | Leads>) => {
      if (data.type === "want") return this.#lead?.take(data);
      this.#answered();
      if (!this.#lead) this.#ask();
    };
    // The leader sees by this lock that the tab is alive.
    navigator.locks.request(name, () => this.#enter()).catch(() => {});
  }

  want(wishes: Want["wishes"]): void {
    this.#wishes = wishes;
    this.#ask();
  }

  /** Check that there is a leader. */
  check(): void {
    this.#ask(this.#slow && !this.#around.env.hidden());
  }

  /** Reconnect what may have died: the page is back. `certain`: every open connection is dead. */
  wake(certain: boolean): void {
    if (this.#lead) this.#lead.page("wake", certain);
    else this.#ask(true);
  }

  /** Return whether other tabs depend on this one's connection. */
  serves(): boolean {
    return this.#lead?.serves(this.#tab) ?? false;
  }

  /** Leave permanently; if this tab led, another one takes over. */
  leave(): void {
    this.#answered();
    this.#lead?.close();
    this.#left.abort();
    this.#queue.abort();
    this.#all.close();
    this.#own.close();
  }

  // The lock

  #enter(): Promise<unknown> | undefined {
    if (this.#left.signal.aborted) return;
    this.#present = true;
    this.#enqueue();
    this.#ask();
    return this.#gone;
  }

  #enqueue(): void {
    this.#queue = new AbortController();
    void this.#compete({ signal: this.#queue.signal });
  }

  /** Request the leader's lock. Returns once the lock was held and lost, or the request was aborted. */
  async #compete(options: LockOptions): Promise<void> {
    let mine: Lead | undefined;
    const rule = () => {
      mine = this.#rule();
      return mine && this.#gone;
    };
    await navigator.locks.request(this.#around.share, options, rule).catch(() => {});
    mine?.close();
    if (this.#lead === mine) this.#lead = undefined;
    if (!mine || this.#left.signal.aborted) return;
    // The lock was stolen: follow the tab that leads by now.
    this.#enqueue();
    this.#ask();
  }

  #rule(): Lead | undefined {
    if (this.#left.signal.aborted) return;
    this.#answered();
    this.#lead = new Lead(this.#around, this.#tab, (told) => this.#hear(told));
    this.#all.postMessage({ type: "lead" } satisfies Leads);
    this.#ask();
    return this.#lead;
  }

  // The leader

  #ask(wake = false): void {
    const want: Want = { type: "want", tab: this.#tab, wishes: this.#wishes, hidden: this.#around.env.hidden(), wake };
    this.#lead?.take(want);
    if (this.#lead || !this.#present) return;
    this.#all.postMessage(want);
    this.#timer ??= setTimeout(() => this.#doubt(), ANSWER_MS + Math.random() * SPREAD_MS);
  }

  #doubt(): void {
    this.#timer = undefined;
    if (this.#lead) return;
    this.#unanswered += 1;
    if (this.#unanswered < ASKS) {
      this.#ask();
      return;
    }
    this.#queue.abort();
    void this.#compete({ steal: true });
  }

  #answered(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#unanswered = 0;
  }

  #hear(told: Told | undefined): void {
    const { env } = this.#around;
    this.#answered();
    if (told?.type === "state") env.state(told.job);
    if (told?.type === "error") env.error(told.error, told.topics);
    if (told?.type !== "here") return;
    this.#slow = told.hidden;
    env.transport(told.transport);
  }
}
