/** The WebSocket transport (RFC 6455), subprotocol `hookcast.v1`. */

import { endBy } from "../http.js";
import type { End } from "../state.js";
import { asJob, type Fields, list, nameOf, parse, partsOf, split, type Topic, without } from "../wire.js";
import type { Transport, TransportEnv } from "./transport.js";

export const OPEN = 1;

/** Map a close code to an end; `after` is the reconnection time that the server announced before it. */
export function endOf(code: number, after: number | undefined, hidden: boolean): End {
  if (code === 4501 || code === 4502) return { why: "unauthorized" };
  if (code >= 4500) return { why: "barred" };
  if (code <= 1001 && hidden) return { why: "left" };
  // 4002, rotated: reconnect within a second, at a random time.
  return { why: "failed", after: code === 4002 ? Math.random() * 1000 : after };
}

/** Return the field that names topics of this kind in a message. */
function keyOf(topic: Topic): string {
  return `${partsOf(topic)[0]}s`;
}

export function openWebSocket(env: TransportEnv): Transport {
  let topics: readonly Topic[] = [];
  let subscribed: readonly Topic[] = [];
  let socket: WebSocket | undefined;
  const over = new AbortController();

  const say = async (type: "subscribe" | "unsubscribe", names: readonly Topic[]) => {
    const token = (type === "subscribe" && (await env.tokens.get())) || undefined;
    const message: Record<string, unknown> = { type, requestIds: [], groups: [], token };
    for (const topic of names) message[keyOf(topic)] = [...list(message[keyOf(topic)]), nameOf(topic)];
    if (socket?.readyState === OPEN) socket.send(JSON.stringify(message));
  };
  const share = (opened = socket) => {
    socket = opened;
    if (!socket) return;
    for (const part of split(without(subscribed, topics))) void say("unsubscribe", part);
    for (const part of split(without(topics, subscribed))) void say("subscribe", part);
    subscribed = topics;
  };
  const refuse = (message: Fields) => {
    const names = subscribed.filter((topic) => list(message[keyOf(topic)]).includes(nameOf(topic)));
    subscribed = without(subscribed, names);
    env.forbidden(names);
  };

  void connect(env, over.signal, share, refuse);
  return {
    watch: (names) => {
      topics = names;
      share();
    },
    renew: () => void say("subscribe", []),
    close: () => over.abort(),
  };
}

/** Open a socket and report what it brings until the signal aborts, which closes it. */
async function connect(
  env: TransportEnv,
  signal: AbortSignal,
  opened: (socket: WebSocket) => void,
  refused: (message: Fields) => void,
): Promise<void> {
  let after: number | undefined;
  const end = (why: End) => {
    if (!signal.aborted) env.ended(why);
  };
  try {
    await env.tokens.get();
    if (signal.aborted) return;
    if (!env.WebSocket) return end({ why: "barred" });
    const socket = new env.WebSocket(env.url("/ws").replace(/^http/, "ws"), "hookcast.v1");
    signal.onabort = () => socket.close();
    socket.onopen = () => opened(socket);
    socket.onclose = ({ code }) => end(endOf(code, after, env.hidden()));
    socket.onmessage = ({ data }) => {
      if (signal.aborted) return;
      const message = parse(data);
      const { type, job, afterMs, code } = message;
      env.alive();
      if (type === "job")
        env.state(asJob(job, data.startsWith('{"type":"job","job":') ? data.slice(20, -1) : undefined));
      if (type === "token-expiring") env.expiring();
      if (type === "reconnect") after = Number(afterMs) || 0;
      if (code === "forbidden") refused(message);
    };
  } catch (error) {
    end(endBy(error));
  }
}
