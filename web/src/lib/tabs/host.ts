/** The leader's connection: each tab gets the states, errors and transport of the topics it wants. */

import type { HookcastError } from "../errors.js";
import type { Link } from "../link.js";
import type { TellPage } from "../page.js";
import type { Env } from "../transports/transport.js";
import type { Job, Transport } from "../types.js";
import type { Topic } from "../wire.js";
import type { Told, Want } from "./protocol.js";

/** The maximum delay of `setTimeout`; longer ones fire at once. */
const MAX_POLL_MS = 2 ** 31 - 1;
/** Changes of tabs within this time update the connection once. */
const GATHER_MS = 50;

export interface Host {
  /** Replace what a tab wants, and send it what is known of its new topics. */
  take(want: Want): void;
  /** Remove a tab. */
  forget(tab: string): void;
  /** Return whether any tab other than `tab` wants something. */
  serves(tab: string): boolean;
  page: TellPage;
  /** Close the connection and stop reporting. Idempotent. */
  close(): void;
}

interface Tab {
  readonly wishes: ReadonlyMap<Topic, number>;
  readonly hidden: boolean;
}

/** Open a connection for all tabs. `env` is the leader's own; `tell` sends a message to one tab. */
export function openHost(env: Env, open: (env: Env) => Link, tell: (tab: string, told: Told) => void): Host {
  const tabs = new Map<string, Tab>();
  /** The newest state of each wanted job, and the error that blocks a topic. */
  const jobs = new Map<string, Job>();
  const errors = new Map<Topic, HookcastError>();
  let transport: Transport = "connecting";
  let timer: ReturnType<typeof setTimeout> | undefined;

  const wanting = (topics: readonly Topic[]) =>
    [...tabs].filter(([, { wishes }]) => topics.some((topic) => wishes.has(topic))).map(([tab]) => tab);
  const here = (tab: string) => tell(tab, { type: "here", transport, hidden: env.hidden() });
  const version = (id: string) => jobs.get(id)?.version ?? 0;
  const link = open({
    ...env,
    version,
    interval: (topic) =>
      Math.min(MAX_POLL_MS, ...[...tabs.values()].map(({ wishes }) => wishes.get(topic) ?? MAX_POLL_MS)),
    hidden: () => [...tabs.values()].every(({ hidden }) => hidden),
    state: (job) => {
      const concerned = wanting(topicsOf(job));
      if ((!timer && concerned.length === 0) || job.version <= version(job.requestId)) return;
      jobs.set(job.requestId, job);
      errors.delete(`job:${job.requestId}`);
      for (const tab of concerned) tell(tab, { type: "state", job });
    },
    transport: (now) => {
      if (now === transport) return;
      transport = now;
      for (const tab of tabs.keys()) here(tab);
    },
    error: (error, topics) => {
      for (const topic of topics ?? []) errors.set(topic, error);
      for (const tab of topics ? wanting(topics) : tabs.keys()) tell(tab, { type: "error", error, topics });
    },
  });
  const settle = () => {
    clearTimeout(timer);
    timer = undefined;
    for (const job of jobs.values()) if (wanting(topicsOf(job)).length === 0) jobs.delete(job.requestId);
    for (const topic of errors.keys()) if (wanting([topic]).length === 0) errors.delete(topic);
    link.want([...new Set([...tabs.values()].flatMap(({ wishes }) => [...wishes.keys()]))]);
  };

  const gather = () => {
    timer ??= setTimeout(settle, GATHER_MS);
  };

  return {
    take: ({ tab, wishes, hidden, wake }) => {
      const [before, now] = [tabs.get(tab)?.wishes, new Map(wishes)];
      const isNew = (topic: Topic) => now.has(topic) && !before?.has(topic);
      tabs.set(tab, { wishes: now, hidden });
      here(tab);
      for (const job of jobs.values()) if (topicsOf(job).some(isNew)) tell(tab, { type: "state", job });
      for (const [topic, error] of errors) if (isNew(topic)) tell(tab, { type: "error", error, topics: [topic] });
      // No batching for the first tab, nor where all tabs are hidden: their timers are throttled.
      if (tabs.size === 1 || env.hidden()) settle();
      else gather();
      if (wake) link.page("wake", false);
    },
    forget: (tab) => {
      if (tabs.delete(tab)) gather();
    },
    serves: (own) => [...tabs].some(([tab, { wishes }]) => tab !== own && wishes.size > 0),
    page: link.page,
    close: () => {
      clearTimeout(timer);
      tabs.clear();
      link.close();
    },
  };
}

/** Return the topics whose watches receive the job. */
function topicsOf(job: Job): Topic[] {
  return [`job:${job.requestId}`, `group:${job.group ?? ""}`];
}
