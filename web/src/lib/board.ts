/** The watches of a page: each newer state is dispatched to the watches of its job and its group. */

import type { HookcastError } from "./errors.js";
import type { Link, LinkEvents, OpenLink } from "./link.js";
import { isHidden, watchPage } from "./page.js";
import type { CompletedJob, HookcastOptions, Job, Transport, WatchOptions } from "./types.js";
import { isOfJob, isTerminal, type Topic, topicsOf } from "./wire.js";

export const POLL_MS = 3_000;
/** The maximum delay of `setTimeout`; longer ones fire at once. */
export const MAX_POLL_MS = 2 ** 31 - 1;
/** Topic changes within this time update the connection once. */
export const GATHER_MS = 50;

/** One call of `watch` or `watchGroup`; `ended` holds the jobs whose end was reported. */
interface Watch {
  readonly topic: Topic;
  readonly options: WatchOptions;
  readonly ended: Set<string>;
}

type Callback = "onUpdate" | "onCompleted" | "onFailed" | "onError" | "onTransport";
type Told<Name extends Callback> = Parameters<NonNullable<WatchOptions[Name]>>[0];

export interface Board {
  /** Add a watch. Returns the function that ends it. */
  add(topic: Topic, options: WatchOptions): () => void;
  /** Dispatch a state from elsewhere, such as the response to a request. */
  state(job: Job): void;
  close(): void;
}

/** Find out why there is no connection, until the returned function is called; `met`: there was one before. */
export type Doubt = (met: boolean, tell: (error: HookcastError) => void) => () => void;

/** Create a board. `openLink` is called at the first watch, `doubt` while there is no connection. */
// biome-ignore lint/complexity/noExcessiveLinesPerFunction: closures over one state; parts of their own take 60 bytes
export function createBoard(openLink: OpenLink, doubt: Doubt, whenHidden: HookcastOptions["whenHidden"]): Board {
  const watches = new Set<Watch>();
  const jobs = new Map<string, Job>();
  let shown: Transport = "connecting";
  let timer: ReturnType<typeof setTimeout> | undefined;
  let link: Promise<Link> | undefined;
  let leavePage = () => {};
  let closed = false;
  let met = false;
  let trouble: HookcastError | undefined;
  let calm: (() => void) | undefined;

  const settle = async () => {
    timer = undefined;
    for (const job of jobs.values()) if (about(job).length === 0) jobs.delete(job.requestId);
    const topics = new Set([...watches].map((watch) => watch.topic));
    link ??= openLink(events);
    const shared = await link;
    leavePage();
    if (topics.size > 0 && !closed) leavePage = watchPage(shared.page, whenHidden);
    shared.want([...topics]);
    ask();
  };
  /** While something is watched without a connection, look for the reason. */
  const ask = () => {
    if (shown !== "connecting" || watches.size === 0) {
      met ||= shown !== "connecting";
      calm = trouble = void calm?.();
    } else calm ??= doubt(met, events.error);
  };
  const gather = () => {
    if (!closed) timer ??= setTimeout(settle, jobs.size > 0 ? GATHER_MS : 0);
  };
  const about = (job: Job) => {
    const topics = topicsOf(job);
    return [...watches].filter((watch) => topics.includes(watch.topic));
  };
  const remove = (watch: Watch) => {
    if (watches.delete(watch)) gather();
  };
  /** Call a callback unless the watch has ended. Async, so that a callback that throws is an unhandled rejection. */
  const tell = async <Name extends Callback>(watch: Watch, name: Name, value: Told<Name>) => {
    if (watches.has(watch)) (watch.options[name] as ((value: Told<Name>) => void) | undefined)?.(value);
  };
  const show = (watch: Watch, job: Job) => {
    tell(watch, "onUpdate", job);
    if (!isTerminal(job) || watch.ended.has(job.requestId)) return;
    watch.ended.add(job.requestId);
    tell(watch, job.status === "completed" ? "onCompleted" : "onFailed", job as CompletedJob);
    if (isOfJob(watch.topic)) remove(watch);
  };

  const events: LinkEvents = {
    version: (requestId) => jobs.get(requestId)?.version ?? 0,
    interval: (topic) => {
      const meant = [...watches].filter((watch) => watch.topic === topic);
      return Math.min(...meant.map(({ options }) => options.pollInterval ?? POLL_MS), MAX_POLL_MS);
    },
    state: (job) => {
      const concerned = about(job);
      if ((concerned.length === 0 && !timer) || job.version <= events.version(job.requestId)) return;
      jobs.set(job.requestId, job);
      for (const watch of concerned) show(watch, job);
    },
    hidden: isHidden,
    transport: (transport) => {
      if (closed || transport === shown) return;
      shown = transport;
      ask();
      for (const watch of [...watches]) tell(watch, "onTransport", shown);
    },
    error: (error, topics) => {
      if (!topics) trouble = error;
      for (const watch of [...watches]) {
        if (!topics || topics.includes(watch.topic)) tell(watch, "onError", error);
      }
    },
  };

  return {
    state: events.state,
    add: (topic, options) => {
      const watch: Watch = { topic, options, ended: new Set() };
      const stop = () => remove(watch);
      if (options.signal?.aborted) return stop;
      options.signal?.addEventListener("abort", stop);
      watches.add(watch);
      gather();
      // Deliver known states in a microtask: by then the caller holds `stop`.
      queueMicrotask(() => {
        tell(watch, "onTransport", shown);
        if (trouble) tell(watch, "onError", trouble);
        for (const job of jobs.values()) if (about(job).includes(watch)) show(watch, job);
      });
      return stop;
    },
    close: async () => {
      events.transport("closed");
      closed = true;
      clearTimeout(timer);
      watches.clear();
      leavePage();
      (await link)?.close();
    },
  };
}
