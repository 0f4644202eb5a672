/** The machine of `state.ts` at work: its effects become transports and timers, what they tell becomes its events. */

import { HookcastError } from "./errors.js";
import type { Link, LinkEvents } from "./link.js";
import { watchPage } from "./page.js";
import { type Effect, type End, type Event, initialState, transition, transportOf } from "./state.js";
import { openGentlePolling, openLongPolling, openPolling } from "./transports/polling.js";
import { openEventStreams } from "./transports/sse.js";
import type { Env, OpenTransport, Transport } from "./transports/transport.js";
import { openWebSocket } from "./transports/websocket.js";
import type { Job, Transport as Shown, TransportName } from "./types.js";
import { type Topic, without } from "./wire.js";

const OPENERS: Record<TransportName, OpenTransport> = {
  websocket: openWebSocket,
  sse: openEventStreams,
  "long-poll": openLongPolling,
  poll: openPolling,
};
/**
 * Streams are never silent for long, and bring so many topics at most; the others are polled gently. SSE: in four
 * requests, of the six connections that a browser opens to a host over HTTP/1.1.
 */
const STREAM_TOPICS: Partial<Record<TransportName, number>> = { websocket: 1000, sse: 800 };
/** A stream has to begin within this time: a proxy that swallows it is no way. */
const OPEN_MS = 5_000;
const SILENT_HEARTBEATS = 2.5;
/** The wall clock goes on while a machine sleeps and its timers do not: look at it often. */
const LOOK_MS = 5_000;

/** An open transport. */
interface Held {
  readonly name: TransportName;
  readonly transport: Transport;
  /** When it gave its first sign of life, 0 before; and when it will have been silent for too long. */
  openedAt: number;
  silentAt: number;
}

export function openConnection(
  env: Env,
  events: LinkEvents,
  ladder: readonly TransportName[],
  pauseHidden: boolean,
): Link {
  let state = initialState(ladder);
  let topics: readonly Topic[] = [];
  let main: Held | undefined;
  let probe: Held | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let looking: ReturnType<typeof setInterval> | undefined;
  let shown: Shown = "connecting";
  let leavePage = () => {};
  /** What the token does not open, as far as the transport knows. */
  const forbidden = new Set<Topic>();

  const dispatch = (event: Event) => {
    const before = state;
    const [next, effects] = transition(before, event);
    if (next === before) return;
    state = next;
    clearTimeout(timer);
    for (const effect of effects) perform(effect);
    tidy();
    show();
  };
  const perform = (effect: Effect) => {
    switch (effect.type) {
      case "open":
        drop(main);
        main = hold(effect.transport);
        break;
      case "probe":
        probe = hold(effect.transport);
        break;
      case "promote":
        drop(main);
        main = probe;
        probe = undefined;
        break;
      case "authorize":
        void authorize();
        break;
      default:
        timer = setTimeout(() => dispatch({ type: effect.next }), effect.base + Math.random() * effect.spread);
    }
  };
  /** What may be open follows from the phase. */
  const tidy = () => {
    const { phase } = state;
    const open = phase === "connecting" || phase === "live" || phase === "climbing";
    if (phase !== "climbing") probe = drop(probe);
    if (!open) main = drop(main);
    clearInterval(looking);
    if (open) looking = setInterval(look, LOOK_MS);
    else forbidden.clear();
    share();
  };
  const show = () => {
    const { phase } = state;
    const live = phase === "live" || phase === "climbing";
    const now = live ? transportOf(state) : phase === "paused" || phase === "closed" ? phase : "connecting";
    if (now === shown) return;
    shown = now;
    events.transport(now);
  };

  const hold = (name: TransportName, open = OPENERS[name], first = carried(name)): Held => {
    const transport = open(env, first, {
      alive: () => alive(held),
      state: take,
      expiring: () => void renew(held),
      forbidden: forbid,
      ended: (end) => ended(held, end),
    });
    const held: Held = { name, transport, openedAt: 0, silentAt: Date.now() + OPEN_MS };
    return held;
  };
  const alive = (held: Held) => {
    const now = Date.now();
    held.silentAt = now + env.heartbeatMs * SILENT_HEARTBEATS;
    if (held.openedAt > 0) return;
    held.openedAt = now;
    if (held === probe) dispatch({ type: "probed" });
    if (held === main) dispatch({ type: "opened" });
  };
  const look = () => {
    for (const held of [probe, main]) {
      if (held && STREAM_TOPICS[held.name] && Date.now() >= held.silentAt) ended(held, { why: "unfit" });
    }
    doubt();
    share(); // the gentle polling may have failed
  };
  /** An event stream is silent about jobs that its token does not open: what it has not brought may be one. */
  const doubt = () => {
    if (!env.tokens.renewable || main?.name !== "sse" || !main.openedAt) return;
    for (const topic of topics) if (topic.startsWith("job") && !env.version(topic.slice(4))) forbidden.add(topic);
  };
  const ended = (held: Held, end: End) => {
    if (held === probe) dispatch({ type: "unprobed" });
    else if (held === main) dispatch({ type: "lost", end, lasted: held.openedAt && Date.now() - held.openedAt });
  };
  const take = (job: Job | null) => {
    if (job === null) return;
    events.state(job);
    // It may be seen now: the transport brings it from here on.
    if (forbidden.delete(`job:${job.requestId}`)) queueMicrotask(share);
  };

  const authorize = async () => {
    if (await token()) dispatch({ type: "authorized" });
    else if (env.tokens.renewable) dispatch({ type: "unauthorized" });
  };
  /** Whether there is a new token. */
  const token = async () => {
    try {
      if (!env.tokens.renewable) throw new HookcastError("unauthorized", "There is no getToken");
      await env.tokens.get(await env.tokens.get());
      return true;
    } catch (error) {
      events.error(error as HookcastError);
      return false;
    }
  };
  const renew = async (held: Held) => {
    if (!(await token())) return;
    forbidden.clear();
    held.transport.renew();
    share();
  };
  const forbid = (names: readonly Topic[]) => {
    for (const topic of names) forbidden.add(topic);
    events.error(new HookcastError("not_visible", "The token does not open it"), names);
    share();
  };

  const carried = (name: TransportName) => without(topics, forbidden).slice(0, STREAM_TOPICS[name]);
  /** The transport watches what it can, and what it cannot is asked for gently while it lives. */
  const share = () => {
    for (const held of [main, probe]) held?.transport.watch(carried(held.name));
    gentle.transport.watch(main?.openedAt ? without(topics, carried(main.name)) : []);
  };
  const gentle = hold("poll", openGentlePolling, []);

  const rest = (type: "stop" | "close") => {
    leavePage();
    dispatch({ type });
  };
  const page = (type: "wake" | "hide", certain: boolean) =>
    dispatch({ type, stale: certain || Date.now() + env.heartbeatMs > (main?.silentAt ?? 0) });
  return {
    want: (names) => {
      const [first, added] = [topics.length === 0, without(names, topics).length > 0];
      topics = names;
      share();
      if (added) dispatch({ type: "start" });
      if (added && first) leavePage = watchPage(page, pauseHidden);
      if (names.length === 0) rest("stop");
    },
    close: () => rest("close"),
  };
}

function drop(held: Held | undefined): undefined {
  held?.transport.close();
}
