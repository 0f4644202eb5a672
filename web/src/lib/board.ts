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

/** One call of `watch` or `watchGroup`. */
interface Watch {
  readonly topic: Topic;
  /** Empty once the watch has ended. */
  options: WatchOptions;
  /** The jobs whose end was reported. */
  readonly ended: Set<string>;
  readonly stop: () => void;
}

type Status = ReturnType<typeof createStatus>;
/** Return the watches of these topics; all without topics. */
type About = (topics?: readonly Topic[]) => readonly Watch[];

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
export function createBoard(openLink: OpenLink, doubt: Doubt, whenHidden: HookcastOptions["whenHidden"]): Board {
  const watches = new Set<Watch>();
  const about: About = (topics) => [...watches].filter(({ topic }) => !topics || topics.includes(topic));
  const status = createStatus(about, doubt);
  const jobs = new Map<string, Job>();
  const [state, gather, close] = follow(about, jobs, status, openLink, whenHidden);

  return {
    state,
    add: (topic, options) => {
      const stop = () => {
        watch.options = {};
        if (watches.delete(watch)) gather();
      };
      const watch: Watch = { topic, options, ended: new Set(), stop };
      if (options.signal?.aborted) return stop;
      options.signal?.addEventListener("abort", stop);
      watches.add(watch);
      gather();
      // Deliver known states in a microtask: by then the caller holds `stop`.
      queueMicrotask(() => {
        status.greet(watch);
        for (const job of jobs.values()) if (topicsOf(job).includes(topic)) show(watch, job);
      });
      return stop;
    },
    close,
  };
}

/**
 * Keep the link to what is watched, and deliver the states. Returns what takes a state, what is called when the watches
 * have changed, and what closes the link.
 */
function follow(
  about: About,
  jobs: Map<string, Job>,
  status: Status,
  openLink: OpenLink,
  whenHidden: HookcastOptions["whenHidden"],
) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let link: Promise<Link> | undefined;
  let leavePage = () => {};
  let closed = false;

  const settle = async () => {
    timer = undefined;
    for (const job of jobs.values()) if (about(topicsOf(job)).length === 0) jobs.delete(job.requestId);
    const topics = [...new Set(about().map(({ topic }) => topic))];
    link ??= openLink({ ...status, version, interval, state, hidden: isHidden });
    const shared = await link;
    leavePage();
    if (topics.length > 0 && !closed) leavePage = watchPage(shared.page, whenHidden);
    shared.want(topics);
    status.ask();
  };
  const gather = () => {
    if (!closed) timer ??= setTimeout(settle, jobs.size > 0 ? GATHER_MS : 0);
  };
  const version = (requestId: string) => jobs.get(requestId)?.version ?? 0;
  const interval = (topic: Topic) => {
    const wanted = about([topic]).map(({ options }) => options.pollInterval ?? POLL_MS);
    return Math.min(MAX_POLL_MS, ...wanted);
  };
  const state = (job: Job) => {
    const concerned = about(topicsOf(job));
    if ((concerned.length === 0 && !timer) || job.version <= version(job.requestId)) return;
    jobs.set(job.requestId, job);
    for (const watch of concerned) show(watch, job);
  };
  const close = async () => {
    status.transport("closed");
    closed = true;
    clearTimeout(timer);
    for (const { stop } of about()) stop();
    leavePage();
    (await link)?.close();
  };
  return [state, gather, close] as const;
}

/** How the states arrive, and what blocks them: all watches are told when it changes, and a new one by `greet`. */
function createStatus(about: About, doubt: Doubt) {
  let shown: Transport = "connecting";
  let met = false;
  let trouble: HookcastError | undefined;
  let calm: (() => void) | undefined;

  /** While something is watched without a connection, look for the reason. */
  const ask = () => {
    const connected = shown !== "connecting";
    met ||= connected;
    if (connected || about().length === 0) calm = trouble = void calm?.();
    else calm ??= doubt(met, error);
  };
  const transport = (transport: Transport) => {
    if ([transport, "closed"].includes(shown)) return;
    shown = transport;
    ask();
    for (const watch of about()) tell(watch, "onTransport", shown);
  };
  const error: LinkEvents["error"] = (error, topics) => {
    if (!topics) trouble = error;
    for (const watch of about(topics)) tell(watch, "onError", error);
  };
  const greet = (watch: Watch) => {
    tell(watch, "onTransport", shown);
    if (trouble) tell(watch, "onError", trouble);
  };
  return { greet, ask, transport, error };
}

/** Call a callback if the watch still has it. Async, so that a callback that throws is an unhandled rejection. */
async function tell<Name extends Callback>(watch: Watch, name: Name, value: Told<Name>) {
  (watch.options[name] as ((value: Told<Name>) => void) | undefined)?.(value);
}

/** Tell a watch a state and, once per job, its end. */
function show(watch: Watch, job: Job) {
  tell(watch, "onUpdate", job);
  if (!isTerminal(job) || watch.ended.has(job.requestId)) return;
  watch.ended.add(job.requestId);
  tell(watch, job.status === "completed" ? "onCompleted" : "onFailed", job as CompletedJob);
  if (isOfJob(watch.topic)) watch.stop();
}
