/** The leader's connection: each tab gets the states, errors and transport of the topics it wants. */

import type { HookcastError } from "../errors.js";
import type { Link, LinkEvents } from "../link.js";
import type { TellPage } from "../page.js";
import type { Job, Transport } from "../types.js";
import type { Topic } from "../wire.js";
import type { Told, Want } from "./protocol.js";
import type { Surroundings } from "./surroundings.js";

interface Tab {
  readonly wishes: ReadonlyMap<Topic, number>;
  readonly hidden: boolean;
}

export class Host {
  readonly #around: Surroundings;
  readonly #tell: (tab: string, told: Told) => void;
  readonly #tabs = new Map<string, Tab>();
  /** The newest state of each wanted job, and the error that blocks a topic. */
  readonly #jobs = new Map<string, Job>();
  readonly #errors = new Map<Topic, HookcastError>();
  readonly #link: Link;
  #transport: Transport = "connecting";
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Open a connection for all tabs. `tell` sends a message to one tab. */
  constructor(around: Surroundings, tell: (tab: string, told: Told) => void) {
    this.#around = around;
    this.#tell = tell;
    this.#link = around.openConnection({ ...around.env, ...this.#events() });
  }

  /** Replace what a tab wants, and send it what is known of its new topics. */
  take({ tab, wishes, hidden, wake }: Want): void {
    const { env, topicsOf } = this.#around;
    const [before, now] = [this.#tabs.get(tab)?.wishes, new Map(wishes)];
    const isNew = (topic: Topic) => now.has(topic) && !before?.has(topic);
    this.#tabs.set(tab, { wishes: now, hidden });
    this.#here(tab);
    for (const job of this.#jobs.values()) if (topicsOf(job).some(isNew)) this.#tell(tab, { type: "state", job });
    for (const [topic, error] of this.#errors) {
      if (isNew(topic)) this.#tell(tab, { type: "error", error, topics: [topic] });
    }
    // No batching for the first tab, nor where all tabs are hidden: their timers are throttled.
    if (this.#tabs.size === 1 || env.hidden()) this.#settle();
    else this.#gather();
    if (wake) this.page("wake", false);
  }

  /** Remove a tab. */
  forget(tab: string): void {
    if (this.#tabs.delete(tab)) this.#gather();
  }

  /** Return whether any tab other than `own` wants something. */
  serves(own: string): boolean {
    return [...this.#tabs].some(([tab, { wishes }]) => tab !== own && wishes.size > 0);
  }

  readonly page: TellPage = (...args) => this.#link.page(...args);

  /** Close the connection and stop reporting. Idempotent. */
  close(): void {
    clearTimeout(this.#timer);
    this.#tabs.clear();
    this.#link.close();
  }

  /** Return what the connection reports to and asks of all tabs. */
  #events(): LinkEvents {
    const { env, topicsOf } = this.#around;
    const version = (id: string) => this.#jobs.get(id)?.version ?? 0;
    return {
      version,
      interval: (topic) =>
        Math.min(env.interval(topic), ...[...this.#tabs.values()].flatMap(({ wishes }) => wishes.get(topic) ?? [])),
      hidden: () => [...this.#tabs.values()].every(({ hidden }) => hidden),
      state: (job) => {
        const concerned = this.#wanting(topicsOf(job));
        if ((!this.#timer && concerned.length === 0) || job.version <= version(job.requestId)) return;
        this.#jobs.set(job.requestId, job);
        this.#errors.delete(`requestId:${job.requestId}`);
        for (const tab of concerned) this.#tell(tab, { type: "state", job });
      },
      transport: (transport) => {
        if (transport === this.#transport) return;
        this.#transport = transport;
        for (const tab of this.#tabs.keys()) this.#here(tab);
      },
      error: (error, topics) => {
        for (const topic of topics ?? []) this.#errors.set(topic, error);
        const concerned = topics ? this.#wanting(topics) : this.#tabs.keys();
        for (const tab of concerned) this.#tell(tab, { type: "error", error, topics });
      },
    };
  }

  /** Return the tabs that want one of these topics. */
  #wanting(topics: readonly Topic[]): string[] {
    return [...this.#tabs.keys()].filter((tab) => topics.some((topic) => this.#tabs.get(tab)?.wishes.has(topic)));
  }

  #here(tab: string): void {
    this.#tell(tab, { type: "here", transport: this.#transport, hidden: this.#around.env.hidden() });
  }

  #gather(): void {
    this.#timer ??= setTimeout(() => this.#settle(), this.#around.gatherMs);
  }

  /** Drop what no tab wants any more, and watch what they want. */
  #settle(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const job of this.#jobs.values()) {
      if (!this.#wanting(this.#around.topicsOf(job))[0]) this.#jobs.delete(job.requestId);
    }
    for (const topic of this.#errors.keys()) if (!this.#wanting([topic])[0]) this.#errors.delete(topic);
    this.#link.want([...new Set([...this.#tabs.values()].flatMap(({ wishes }) => [...wishes.keys()]))]);
  }
}
