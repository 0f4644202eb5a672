/** Polling, and long-polling: a loop for each topic. */

import { type Answer, jobPath, request } from "../http.js";
import { asJob, parse, type Topic } from "../wire.js";
import type { Env, Listener, OpenTransport, Transport } from "./transport.js";

const WAIT_SECONDS = 25;
const ASKED_MS = 15_000;
const HELD_MS = WAIT_SECONDS * 1000 + ASKED_MS;
/** A browser opens six connections to a host over HTTP/1.1: so many may be held, the others are asked in turn. */
const MAX_HELD = 3;
/** A job that is unknown is asked for ever more seldom, down to this; so is one that the connection cannot bring. */
const GENTLE_MS = 15_000;
const PAGE = 200;
const MAX_PAGES = 5;

/** An answer, and whether the server held it until there was something new, or for long. */
interface Outcome {
  readonly answer: Answer;
  readonly held: boolean;
}

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
  const end = (why: "failed" | "unauthorized") => {
    close();
    listener.ended({ why });
  };

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
    return { answer, held: hold && waited };
  };
  const group = async (name: string, signal: AbortSignal): Promise<Outcome> => {
    const query = new URLSearchParams({ group: name, limit: String(PAGE) });
    for (let page = 1; ; page += 1) {
      const answer = await request(env, `?${query}`, { signal });
      const { jobs, nextCursor } = parse(answer.body);
      for (const value of Array.isArray(jobs) && !signal.aborted ? jobs : []) listener.state(asJob(value));
      if (typeof nextCursor !== "string" || page === MAX_PAGES) return { answer, held: false };
      query.set("cursor", nextCursor);
    }
  };
  const check = ({ status, retryAfter }: Answer) => {
    if (status === 401) end("unauthorized");
    else if ((status >= 500 || status === 429) && retryAfter === undefined) end("failed");
    else listener.alive();
  };
  /** Milliseconds until the next request. */
  const pause = ({ answer, held }: Outcome, misses: number, interval: number) => {
    if (misses > 0) return Math.min(Math.max(interval, GENTLE_MS), interval * 2 ** (misses - 1));
    return answer.retryAfter ?? (held ? 0 : interval);
  };
  const run = async (topic: Topic) => {
    const controller = new AbortController();
    const { signal } = controller;
    const name = topic.slice(topic.indexOf(":") + 1);
    loops.set(topic, controller);
    try {
      for (let misses = 0; ; ) {
        const outcome = await (topic.startsWith("job") ? job(name, topic, signal) : group(name, signal));
        signal.throwIfAborted();
        check(outcome.answer);
        misses = outcome.answer.status === 404 ? misses + 1 : 0;
        await sleep(pause(outcome, misses, Math.max(least, env.interval(topic))), signal);
      }
    } catch {
      if (!signal.aborted) end("failed");
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
