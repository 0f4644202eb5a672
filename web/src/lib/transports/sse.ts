/** Server-sent events by fetch: EventSource can send no token in a header, and does not show an HTTP status. */

import { createParser } from "../eventstream.js";
import { authorization, endOf } from "../http.js";
import type { End } from "../state.js";
import { asJob, isTerminal, named, parse, split, type Topic, without } from "../wire.js";
import type { Env, Listener, Transport } from "./transport.js";

export function openEventStreams(env: Env, first: readonly Topic[], listener: Listener): Transport {
  let topics = first;
  /** What is wanted of the topics in the open streams; one that is not does no harm in them. */
  let asked: readonly Topic[] = [];
  /** Jobs whose last state has come: a stream of nothing else ends by itself. */
  let done: Topic[] = [];
  let controller = new AbortController();

  const close = () => controller.abort();
  const end = (why: End, signal: AbortSignal) => {
    if (signal.aborted) return; // another one has taken its place
    listener.ended(why);
    close();
  };
  const open = async (names: readonly Topic[], signal: AbortSignal) => {
    const query = new URLSearchParams();
    for (const id of named("job", names)) query.append("requestId", id);
    for (const name of named("group", names)) query.append("group", name);
    const headers = { Accept: "text/event-stream", ...authorization(await env.tokens.get()) };
    return env.fetch(env.url(`/events?${query}`), { headers, signal, cache: "no-store" });
  };
  const take = (type: string, data: string) => {
    const job = type === "job" ? asJob(parse(data), data) : null;
    if (job !== null && isTerminal(job)) done.push(`job:${job.requestId}`);
    listener.state(job);
    if (type === "token-expiring") listener.expiring();
  };
  const read = async (body: ReadableStream<Uint8Array<ArrayBuffer>>, push: (text: string) => void) => {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      listener.alive();
      push(read.value);
    }
  };
  const follow = async (names: readonly Topic[], signal: AbortSignal) => {
    const parser = createParser((type, data) => signal.aborted || take(type, data));
    try {
      const response = await open(names, signal);
      const stream = response.status === 200 && response.headers.get("content-type")?.startsWith("text/event-stream");
      const over: End = endOf(response) ?? { why: "unfit" };
      // 429: there are too many streams, and other ways are none.
      if (!stream || !response.body) return end(response.status === 429 ? { ...over, why: "unfit" } : over, signal);
      await read(response.body, parser.push);
    } catch {
      // The network failed, or getToken did: as good as a close.
    }
    const wanted = names.filter((topic) => asked.includes(topic));
    if (without(wanted, done).length > 0) end({ why: "failed", after: parser.retry() }, signal);
  };
  /** Every stream begins with the states, so nothing is missed. */
  const reopen = () => {
    close();
    controller = new AbortController();
    asked = topics;
    done = [];
    for (const part of split(asked)) void follow(part, controller.signal);
  };

  reopen();
  return {
    watch: (names) => {
      topics = names;
      asked = asked.filter((topic) => names.includes(topic));
      if (without(names, asked).length > 0) reopen();
    },
    renew: reopen,
    close,
  };
}
