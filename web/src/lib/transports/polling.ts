/** Polling and long-polling: one loop per topic. */

import { type Answer, ASK_MS, type Ask, endBy, jobPath, request } from "../http.js";
import { asJob, isOfJob, nameOf, parse, partsOf, readJob, type Topic, without } from "../wire.js";
import type { Memory } from "./feeds.js";
import type { OpenTransport, SharedEnv, Transport, TransportEnv } from "./transport.js";

export const WAIT_SECONDS = 25;
/** Long polls at a time, of the browser's six HTTP/1.1 connections per host; other jobs are polled. */
export const MAX_HELD = 3;
/** The minimum poll interval for a job that is not known yet (404), and for gentle polling. */
export const UNKNOWN_MS = 6_000;
export const GENTLE_MS = 15_000;
export const MAX_FAILURES = 3;

/** A response, and whether to ask again at once: after a long poll that brought a newer state. */
type Outcome = readonly [answer: Answer, soon: boolean];

const failed = (error: unknown): Answer => ({ status: 0, body: "", end: endBy(error) });

/** Poll, or long-poll if `wait`. `least`: the minimum interval in milliseconds; if not 0, failures never end it. */
const polling =
  (wait: boolean, least: number): OpenTransport =>
  (env) => {
    const loops = new Map<Topic, AbortController>();
    const [job, feed] = asking(env, wait, least > 0, loops);

    const watch = (topics: readonly Topic[]) => {
      for (const topic of without([...loops.keys()], topics)) {
        loops.get(topic)?.abort();
        loops.delete(topic);
      }
      for (const topic of without(topics, loops.keys())) void run(topic);
    };
    const run = async (topic: Topic) => {
      const controller = new AbortController();
      const { signal } = controller;
      const memory: Memory = {};
      loops.set(topic, controller);
      while (!signal.aborted) {
        const outcome = await (isOfJob(topic) ? job : feed)(topic, signal, memory);
        if (!signal.aborted) await sleep(pause(topic, outcome), signal);
      }
    };
    /** Return the milliseconds until the next request. */
    const pause = (topic: Topic, [{ status, end }, soon]: Outcome) => {
      const interval = soon ? 0 : Math.max(least, env.interval(topic), status === 404 ? UNKNOWN_MS : 0);
      return Math.max(interval, end?.after ?? 0);
    };
    return { watch, close: () => watch([]) };
  };

/** Return what sends the next request of a job, and of a group or an owner. `gentle`: failures are not counted. */
function asking(env: TransportEnv, wait: boolean, gentle: boolean, loops: ReadonlyMap<Topic, unknown>) {
  /** Failures in a row of plain requests and of long polls. The 1 keeps the first long poll from being held. */
  const failures: [number, number] = [0, 1];

  /** Send a request. A single failure is tolerated; failures in a row with no answer in between end the transport. */
  const ask = async (path: string, options: Ask, held: 0 | 1 = 0) => {
    const answer = await request(env, path, options).catch(failed);
    const { end } = answer;
    if (gentle || options.signal?.aborted) return answer;
    failures[held] = end ? failures[held] + 1 : 0;
    if (!end) env.alive();
    else if (end.why === "unauthorized" || failures[held] >= Math.min(MAX_FAILURES, loops.size)) {
      env.ended(end);
    }
    return answer;
  };
  const job = async (topic: Topic, signal: AbortSignal): Promise<Outcome> => {
    const id = nameOf(topic);
    const version = env.version(id);
    const began = Date.now();
    const hold = wait && [...loops.keys()].filter(isOfJob).indexOf(topic) < MAX_HELD;
    // At first and after a failure, do not hold: a quick answer has to show that the transport works.
    const seconds = hold && failures[1] === 0 ? WAIT_SECONDS : 0;
    const query = hold ? `?wait=${seconds}&version=${version}` : "";
    const options = { headers: { "If-None-Match": `"${version}"` }, signal, timeout: ASK_MS + seconds * 1000 };
    const answer = await ask(jobPath(id) + query, options, +hold as 0 | 1);
    env.state(readJob(answer.body));
    // A server that ignores `wait`, or a job that has ended, answers at once with nothing new: pause then.
    const soon = !seconds || env.version(id) > version || Date.now() - began >= env.interval(topic);
    return [answer, soon && hold];
  };
  const feed = async (topic: Topic, signal: AbortSignal, memory: Memory): Promise<Outcome> => {
    const core = { ...env, ask, parse, asJob };
    const poll = import("./feeds.js").then(({ pollFeed }) => pollFeed(core, partsOf(topic), signal, memory));
    return [await poll.catch(failed), false];
  };
  return [job, feed] as const;
}

/** Wait; return early if the signal aborts. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.onabort = () => resolve(clearTimeout(timer));
  });
}

/** Long-poll: the server holds each request until there is a newer state. */
export const openLongPolling: OpenTransport = polling(true, 0);

/** Poll at the interval of each topic. */
export const openPolling: OpenTransport = polling(false, 0);

/** Poll slowly for what the connection cannot carry. Failures never end it, and `close` only stops it until `watch`. */
export const openGentlePolling = polling(false, GENTLE_MS) as (env: SharedEnv) => Transport;
