/** Server-sent events over fetch: EventSource cannot send an Authorization header, and hides the HTTP status. */

import { createParser } from "../eventstream.js";
import { authorization, endBy, endOf } from "../http.js";
import type { End } from "../state.js";
import { partsOf, readJob, split, type Topic, without } from "../wire.js";
import type { Transport, TransportEnv } from "./transport.js";

export function openEventStreams(env: TransportEnv): Transport {
  let topics: readonly Topic[] = [];
  /** The wanted topics in the open streams; unwanted ones in them are harmless. */
  let asked: readonly Topic[] = [];
  let controller = new AbortController();

  /** Replace the streams. Each begins with the current states, so nothing is missed. */
  const reopen = () => {
    controller.abort();
    controller = new AbortController();
    asked = topics;
    for (const part of split(asked)) void follow(env, part, controller.signal);
  };

  return {
    watch: (names) => {
      topics = names;
      asked = asked.filter((topic) => names.includes(topic));
      if (without(names, asked).length > 0) reopen();
    },
    renew: reopen,
    close: () => controller.abort(),
  };
}

/** Open a stream, and report what it brings, and its end unless the signal aborts or all its jobs have ended. */
async function follow(env: TransportEnv, names: readonly Topic[], signal: AbortSignal): Promise<void> {
  let over = false;
  let why: End = { why: "failed" };
  /** The reconnection time of the stream (`retry:`). */
  let after: number | undefined;
  const push = createParser((type, data) => {
    over ||= type === "end";
    if (signal.aborted) return;
    if (type === "job") env.state(readJob(data));
    if (type === "token-expiring") env.expiring();
    if (type === "retry") after = Number(data);
  });
  const write = (text: string) => {
    env.alive();
    push(text);
  };
  try {
    const query = new URLSearchParams(names.map(partsOf));
    const sent = { Accept: "text/event-stream", ...authorization(await env.tokens.get()) };
    const response = await env.fetch(env.url(`/events?${query}`), { headers: sent, signal, cache: "no-store" });
    const { status, headers, body } = response;
    if (body && status === 200 && headers.get("Content-Type")?.startsWith("text/event-stream")) {
      await body.pipeThrough(new TextDecoderStream()).pipeTo(new WritableStream({ write }), { signal });
      // 429: the client has too many event streams; other transports are not limited by that.
    } else why = { why: "unfit", ...endOf(response), ...(status === 429 && { why: "unfit" }) };
  } catch (error) {
    why = endBy(error);
  }
  if (!(over || signal.aborted)) env.ended({ after, ...why });
}
