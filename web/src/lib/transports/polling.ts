/** Polling, and long-polling: a loop for each topic. */

import { type Answer, ASK_MS, type Ask, endBy, jobPath, request } from "../http.js";
import { asJob, isOfJob, list, nameOf, parse, readJob, type Topic, without } from "../wire.js";
import type { Env, Listener, OpenTransport, Transport } from "./transport.js";

export const WAIT_SECONDS = 25;
/** A browser opens six connections to a host over HTTP/1.1: so many may be held, the others are asked in turn. */
export const MAX_HELD = 3;
/** The least pause between two requests for a job that is not known yet, and for what the connection cannot bring. */
export const UNKNOWN_MS = 6_000;
export const GENTLE_MS = 15_000;
export const MAX_FAILURES = 3;
const PAGE = "200";
export const MAX_PAGES = 5;

/** An answer, and the milliseconds until the next request: none after one that was held until there was something new. */
type Outcome = readonly [answer: Answer, pause: number];

/** `least`: the milliseconds between two requests for a topic, at least. */
function open(wait: boolean, least: number, env: Env, first: readonly Topic[], listener: Listener): Transport {
  const loops = new Map<Topic, AbortController>();
  /** In a row: of requests that are not to be held, and of those that are; these begin with the suspicion of one. */
  const failures: [number, number] = [0, 1];

  const watch = (topics: readonly Topic[]) => {
    for (const topic of without([...loops.keys()], topics)) {
      loops.get(topic)?.abort();
      loops.delete(topic);
    }
    for (const topic of without(topics, loops.keys())) void run(topic);
  };
  const close = () => watch([]);

  /** One request may fail among many; when nothing else is answered either, it is the way that fails. */
  const ask = async (path: string, options: Ask, held: 0 | 1 = 0) => {
    const answer = await request(env, path, options).catch(
      (error): Answer => ({ status: 0, body: "", end: endBy(error) }),
    );
    const { end } = answer;
    if (options.signal?.aborted) return answer;
    failures[held] = end ? failures[held] + 1 : 0;
    if (!end) listener.alive();
    else if (!least && (end.why === "unauthorized" || failures[held] >= Math.min(MAX_FAILURES, loops.size))) {
      close();
      listener.ended(end);
    }
    return answer;
  };
  /** Milliseconds until the next request. */
  const pause = (topic: Topic, { status }: Answer) =>
    Math.max(least, env.interval(topic), status === 404 ? UNKNOWN_MS : 0);
  const job = async (id: string, topic: Topic, signal: AbortSignal): Promise<Outcome> => {
    const version = env.version(id);
    const began = Date.now();
    const hold = wait && [...loops.keys()].filter(isOfJob).indexOf(topic) < MAX_HELD;
    // Where it failed, or is new, a quick answer has to show first that this is a way.
    const seconds = hold && failures[1] === 0 ? WAIT_SECONDS : 0;
    const headers = { "If-None-Match": `"${version}"` };
    const query = hold ? `?wait=${seconds}&version=${version}` : "";
    const timeout = ASK_MS + seconds * 1000;
    const answer = await ask(jobPath(id) + query, { headers, signal, timeout }, +hold as 0 | 1);
    listener.state(readJob(answer.body));
    // A server that does not know how to wait, or a job that has ended, answers the same at once.
    const soon = !seconds || env.version(id) > version || Date.now() - began >= env.interval(topic);
    return [answer, soon && hold ? 0 : pause(topic, answer)];
  };
  const group = async (name: string, topic: Topic, signal: AbortSignal): Promise<Outcome> => {
    const query = new URLSearchParams({ group: name, limit: PAGE });
    for (let page = 1; ; page += 1) {
      const answer = await ask(`?${query}`, { signal });
      const { jobs, nextCursor } = parse(answer.body);
      for (const value of list(jobs)) listener.state(asJob(value));
      if (!nextCursor || page === MAX_PAGES) return [answer, pause(topic, answer)];
      query.set("cursor", String(nextCursor));
    }
  };
  const run = async (topic: Topic) => {
    const controller = new AbortController();
    const { signal } = controller;
    loops.set(topic, controller);
    while (!signal.aborted) {
      const [answer, ms] = await (isOfJob(topic) ? job : group)(nameOf(topic), topic, signal);
      if (!signal.aborted) await sleep(Math.max(ms, answer.end?.after ?? 0), signal);
    }
  };

  watch(first);
  return { watch, close };
}

/** Ends early with the signal. */
function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.onabort = () => resolve(clearTimeout(timer));
  });
}

/** Requests that the server holds until there is something new. */
export const openLongPolling: OpenTransport = (...args) => open(true, 0, ...args);

/** One request after the other. */
export const openPolling: OpenTransport = (...args) => open(false, 0, ...args);

/** The same for what the connection cannot bring. It may be used on after it has ended. */
export const openGentlePolling: OpenTransport = (...args) => open(false, GENTLE_MS, ...args);
