/** Polling, and long-polling: a loop for each topic. */

import { type Answer, jobPath, request } from "../http.js";
import type { End } from "../state.js";
import { asJob, parse, type Topic } from "../wire.js";
import type { Env, Listener, OpenTransport, Transport } from "./transport.js";

const WAIT_SECONDS = 25;
const ASKED_MS = 15_000;
const HELD_MS = WAIT_SECONDS * 1000 + ASKED_MS;
/** A browser opens six connections to a host over HTTP/1.1: so many may be held, the others are asked in turn. */
const MAX_HELD = 3;
/** The least pause between two requests for a job that is not known yet, and for what the connection cannot bring. */
const UNKNOWN_MS = 6_000;
const GENTLE_MS = 15_000;
const PAGE = 200;
const MAX_PAGES = 5;

/** An answer, and the milliseconds until the next request: none after one that was held until there was something new. */
type Outcome = readonly [answer: Answer, pause: number];

/** `least`: the milliseconds between two requests for a topic, at least. */
function open(env: Env, first: readonly Topic[], listener: Listener, wait: boolean, least: number): Transport {
  const loops = new Map<Topic, AbortController>();

  const watch = (topics: readonly Topic[]) => {
    for (const [topic, loop] of loops) {
      if (topics.includes(topic)) continue;
      loop.abort();
      loops.delete(topic);
    }
    for (const topic of topics) if (!loops.has(topic)) void run(topic);
  };
  const close = () => watch([]);
  const end = (over: End) => {
    close();
    listener.ended(over);
  };

  /** Milliseconds until the next request. */
  const pause = (topic: Topic, { status }: Answer) =>
    Math.max(least, env.interval(topic), status === 404 ? UNKNOWN_MS : 0);
  const job = async (id: string, topic: Topic, signal: AbortSignal): Promise<Outcome> => {
    const [version, began] = [env.version(id), Date.now()];
    const hold = wait && [...loops.keys()].indexOf(topic) < MAX_HELD;
    const headers: Record<string, string> = version > 0 ? { "If-None-Match": `"${version}"` } : {};
    const query = hold ? `?wait=${WAIT_SECONDS}&version=${version}` : "";
    const answer = await request(env, jobPath(id) + query, { headers, signal, timeout: hold ? HELD_MS : ASKED_MS });
    const state = asJob(parse(answer.body), answer.body);
    if (!signal.aborted) listener.state(state);
    // A server that does not know how to wait, or a job that has ended, answers the same at once.
    const waited = (state?.version ?? 0) > version || Date.now() - began >= env.interval(topic);
    return [answer, hold && waited ? 0 : pause(topic, answer)];
  };
  const group = async (name: string, signal: AbortSignal): Promise<Outcome> => {
    const query = new URLSearchParams({ group: name, limit: String(PAGE) });
    for (let page = 1; ; page += 1) {
      const answer = await request(env, `?${query}`, { signal });
      const { jobs, nextCursor } = parse(answer.body);
      for (const value of Array.isArray(jobs) && !signal.aborted ? jobs : []) listener.state(asJob(value));
      if (typeof nextCursor !== "string" || page === MAX_PAGES) return [answer, pause(`group:${name}`, answer)];
      query.set("cursor", nextCursor);
    }
  };
  const run = async (topic: Topic) => {
    const controller = new AbortController();
    const { signal } = controller;
    const name = topic.slice(topic.indexOf(":") + 1);
    loops.set(topic, controller);
    try {
      for (;;) {
        const [answer, ms] = await (topic.startsWith("job") ? job(name, topic, signal) : group(name, signal));
        signal.throwIfAborted();
        if (answer.end) return end(answer.end);
        listener.alive();
        await sleep(ms, signal);
      }
    } catch {
      if (!signal.aborted) end({ why: "failed" });
    }
  };

  watch(first);
  // Each request asks for the token anyway.
  return { watch, renew: () => {}, close };
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const timer = setTimeout(resolve, ms);
    signal.onabort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
  });
}

/** Requests that the server holds until there is something new. */
export const openLongPolling: OpenTransport = (env, topics, listener) => open(env, topics, listener, true, 0);

/** One request after the other. */
export const openPolling: OpenTransport = (env, topics, listener) => open(env, topics, listener, false, 0);

/** The same for what the connection cannot bring. It may be used on after it has ended. */
export const openGentlePolling: OpenTransport = (env, topics, listener) =>
  open(env, topics, listener, false, GENTLE_MS);
