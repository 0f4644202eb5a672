/** All watches of a page: each newer state goes to whoever watches its job or its group. */

import type { Link, LinkEvents, OpenLink } from "./link.js";
import type { CompletedJob, Job, Transport, WatchOptions } from "./types.js";
import { isTerminal, type Topic } from "./wire.js";

const POLL_MS = 3_000;
/** Topics that come and go together change the connection once. */
const GATHER_MS = 50;

/** One call of `watch` or `watchGroup`; `ended` are the jobs whose end was told. */
interface Watch {
  readonly topic: Topic;
  readonly options: WatchOptions;
  readonly ended: Set<string>;
}

type Callback = "onUpdate" | "onCompleted" | "onFailed" | "onError" | "onTransport";
type Told<Name extends Callback> = Parameters<NonNullable<WatchOptions[Name]>>[0];

export interface Board {
  /** Answers what ends the watch. */
  add(topic: Topic, options: WatchOptions): () => void;
  /** A state from elsewhere, such as the answer to a request. */
  state(job: Job): void;
  close(): void;
}

export function createBoard(openLink: OpenLink): Board {
  const watches = new Set<Watch>();
  const jobs = new Map<string, Job>();
  let shown: Transport = "connecting";
  let timer: ReturnType<typeof setTimeout> | undefined;
  let closed = false;

  const settle = () => {
    timer = undefined;
    for (const [id, job] of jobs) if (about(job).length === 0) jobs.delete(id);
    link.want([...new Set([...watches].map((watch) => watch.topic))]);
  };
  const gather = () => {
    if (!closed) timer ??= setTimeout(settle, jobs.size > 0 ? GATHER_MS : 0);
  };
  const about = (job: Job) => {
    const topics: Topic[] = [`job:${job.requestId}`, `group:${job.group ?? ""}`];
    return [...watches].filter((watch) => topics.includes(watch.topic));
  };
  const remove = (watch: Watch) => {
    if (watches.delete(watch)) gather();
  };
  /** Nothing after the end of a watch. A callback that fails is its owner's fault, and nobody else's. */
  const tell = <Name extends Callback>(watch: Watch, name: Name, value: Told<Name>) => {
    if (!watches.has(watch)) return;
    try {
      (watch.options[name] as ((value: Told<Name>) => void) | undefined)?.(value);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  };
  const show = (watch: Watch, job: Job) => {
    tell(watch, "onUpdate", job);
    if (!isTerminal(job) || watch.ended.has(job.requestId)) return;
    watch.ended.add(job.requestId);
    tell(watch, job.status === "completed" ? "onCompleted" : "onFailed", job as CompletedJob);
    if (watch.topic.startsWith("job")) remove(watch);
  };

  const version = (requestId: string) => jobs.get(requestId)?.version ?? 0;
  const events: LinkEvents = {
    version,
    interval: (topic) => {
      const meant = [...watches].filter((watch) => watch.topic === topic);
      const wished = meant.map(({ options }) => options.pollInterval ?? POLL_MS);
      return wished.length > 0 ? Math.min(...wished) : POLL_MS;
    },
    state: (job) => {
      const concerned = about(job);
      if (concerned.length === 0 || job.version <= version(job.requestId)) return;
      jobs.set(job.requestId, job);
      for (const watch of concerned) show(watch, job);
    },
    transport: (transport) => {
      shown = transport;
      for (const watch of [...watches]) tell(watch, "onTransport", transport);
    },
    error: (error, topics) => {
      for (const watch of [...watches]) {
        if (topics?.includes(watch.topic) ?? true) tell(watch, "onError", error);
      }
    },
  };
  const link: Link = openLink(events);

  return {
    state: events.state,
    add: (topic, options) => {
      const watch: Watch = { topic, options, ended: new Set() };
      const stop = () => remove(watch);
      if (options.signal?.aborted) return stop;
      options.signal?.addEventListener("abort", stop);
      watches.add(watch);
      gather();
      // What is known already, once the caller has got the function that stops it.
      queueMicrotask(() => {
        tell(watch, "onTransport", shown);
        for (const job of jobs.values()) if (about(job).includes(watch)) show(watch, job);
      });
      return stop;
    },
    close: () => {
      closed = true;
      link.close();
      watches.clear();
      jobs.clear();
      clearTimeout(timer);
    },
  };
}
