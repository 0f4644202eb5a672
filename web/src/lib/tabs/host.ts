/** What a tab does that leads: it holds the one connection, and tells each tab what that one wants to know. */

import type { HookcastError } from "../errors.js";
import type { Link } from "../link.js";
import type { TellPage } from "../page.js";
import type { Env } from "../transports/transport.js";
import type { Job, Transport } from "../types.js";
import type { Topic } from "../wire.js";
import type { Told, Want } from "./protocol.js";

/** The longest time that a timer can wait. */
const MAX_POLL_MS = 2 ** 31 - 1;
/** Tabs that come together change the connection once. */
const GATHER_MS = 50;

export interface Host {
  /** A tab wants this and nothing else from now on. It is told what is known of it. */
  take(want: Want): void;
  /** A tab is no more. */
  forget(tab: string): void;
  /** Whether another tab than this one wants something. */
  serves(tab: string): boolean;
  page: TellPage;
  /** Idempotent. Says nothing any more. */
  close(): void;
}

interface Tab {
  readonly wishes: ReadonlyMap<Topic, number>;
  readonly hidden: boolean;
}

/** `env` is that of the tab itself; `tell` reaches one tab. */
export function openHost(env: Env, open: (env: Env) => Link, tell: (tab: string, told: Told) => void): Host {
  const tabs = new Map<string, Tab>();
  /** The newest state of each job that somebody wants, and what stands in the way of a topic. */
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
      // The first one waits for nobody; the timers of a hidden page come late.
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

/** Whoever watches one of these is shown the job. */
function topicsOf(job: Job): Topic[] {
  return [`job:${job.requestId}`, `group:${job.group ?? ""}`];
}
