/** The machine of `state.ts` at work: its effects become transports and timers, what they tell becomes its events. */

import { HookcastError } from "./errors.js";
import type { Link } from "./link.js";
import { type Effect, type End, type Event, initialState, type Lost, transition, transportOf } from "./state.js";
import { openGentlePolling, openLongPolling, openPolling } from "./transports/polling.js";
import { openEventStreams } from "./transports/sse.js";
import type { Env, OpenTransport, Transport } from "./transports/transport.js";
import { openWebSocket } from "./transports/websocket.js";
import type { Job, TransportName } from "./types.js";
import { isOfJob, type Topic, without } from "./wire.js";

/**
 * What opens each transport, and how many topics a stream brings at most; the others are polled gently. Streams are
 * never silent for long. SSE: in four requests, of the six connections that a browser opens to a host over HTTP/1.1.
 */
const KINDS: Record<TransportName, readonly [open: OpenTransport, topics?: number]> = {
  websocket: [openWebSocket, 1000],
  sse: [openEventStreams, 800],
  "long-poll": [openLongPolling],
  poll: [openPolling],
};
/** A stream has to begin within this time: a proxy that swallows it is no way. */
export const OPEN_MS = 5_000;
export const SILENT_HEARTBEATS = 2.5;
/** The wall clock goes on while a machine sleeps and its timers do not: look at it often. */
export const LOOK_MS = 5_000;

/** An open transport. */
interface Held {
  readonly name: TransportName;
  readonly transport: Transport;
  /** When it gave its first sign of life, 0 before; and when it will have been silent for too long. */
  openedAt: number;
  silentAt: number;
}

/** `env` is told what comes in. */
export function openConnection(env: Env): Link {
  let state = initialState(env.ladder);
  let topics: readonly Topic[] = [];
  let main: Held | undefined;
  let probe: Held | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let looking: ReturnType<typeof setInterval> | undefined;
  /** What the token does not open, as far as the transport knows. */
  const forbidden = new Set<Topic>();

  const dispatch = (event: Event | Lost) => {
    const before = state;
    const [next, effects] = transition(before, event);
    if (next === before) return;
    state = next;
    clearTimeout(timer);
    for (const effect of effects) perform(effect);
    tidy();
  };
  const perform = (effect: Effect) => {
    switch (effect.type) {
      case "open":
        drop(main);
        forbidden.clear();
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
        timer = setTimeout(() => dispatch({ type: "elapsed" }), effect.base + Math.random() * effect.spread);
    }
  };
  /** What may be open follows from the phase. */
  const tidy = () => {
    const { phase } = state;
    const live = phase === "live" || phase === "climbing";
    const open = live || phase === "connecting";
    if (phase !== "climbing") probe = drop(probe);
    if (!open) main = drop(main);
    clearInterval(looking);
    if (open) looking = setInterval(look, LOOK_MS);
    share();
    env.transport(live ? transportOf(state) : phase === "paused" ? phase : "connecting");
  };

  const hold = (name: TransportName, open = KINDS[name][0]): Held => {
    const transport = open(env, carried(name), {
      alive: () => alive(held),
      state: take,
      expiring: renew,
      forbidden: forbid,
      ended: (end) => ended(held, end),
    });
    const held: Held = { name, transport, openedAt: 0, silentAt: Date.now() + OPEN_MS };
    return held;
  };
  const alive = (held: Held) => {
    const now = Date.now();
    held.silentAt = now + env.heartbeatSeconds * 1000 * SILENT_HEARTBEATS;
    if (held.openedAt > 0) return;
    held.openedAt = now;
    if (held === probe || held === main) dispatch({ type: "done" });
  };
  const look = () => {
    for (const held of [main, probe]) {
      if (held && KINDS[held.name][1] && Date.now() >= held.silentAt) ended(held, { why: "unfit" });
    }
    doubt();
  };
  /** An event stream is silent about jobs that its token does not open: what it has not brought may be one. */
  const doubt = () => {
    if (!env.tokens.renewable || main?.name !== "sse") return;
    for (const topic of topics) if (isOfJob(topic) && !env.version(topic.slice(4))) forbidden.add(topic);
    share();
  };
  const ended = (held: Held, end: End) => {
    if (held === probe) dispatch({ type: "failed" });
    if (held === main) dispatch({ type: "lost", end, lasted: held.openedAt && Date.now() - held.openedAt });
  };
  const take = (job: Job | null) => {
    if (job === null) return;
    env.state(job);
    // It may be seen now: the transport brings it from here on.
    if (forbidden.delete(`job:${job.requestId}`)) queueMicrotask(share);
  };

  const authorize = async () => {
    if (await token()) dispatch({ type: "done" });
    else if (env.tokens.renewable) dispatch({ type: "failed" });
  };
  /** Whether there is a new token. */
  const token = async () => {
    try {
      if (!env.tokens.renewable) throw new HookcastError("unauthorized", "No token");
      await env.tokens.get(await env.tokens.get());
      return true;
    } catch (error) {
      env.error(error as HookcastError);
      return false;
    }
  };
  const renew = async () => {
    const old = await env.tokens.get();
    if (!(await token()) || old === (await env.tokens.get())) return;
    forbidden.clear();
    main?.transport.renew?.();
    probe?.transport.renew?.();
    share();
  };
  const forbid = (names: readonly Topic[]) => {
    for (const topic of names) forbidden.add(topic);
    env.error(new HookcastError("not_visible", "Not visible"), names);
    share();
  };

  const carried = (name: TransportName) => without(topics, forbidden).slice(0, KINDS[name][1]);
  /** The transport watches what it can, and what it cannot is asked for gently while it lives. */
  const share = () => {
    for (const held of [main, probe]) held?.transport.watch(carried(held.name));
    gentle.transport.watch(main?.openedAt ? without(topics, carried(main.name)) : []);
  };
  const gentle = hold("poll", openGentlePolling);

  return {
    want: (names) => {
      const added = without(names, topics).length > 0;
      topics = names;
      share();
      if (added) dispatch({ type: "start" });
      if (names.length === 0) dispatch({ type: "stop" });
      if (env.whenHidden === "pause" && env.hidden()) dispatch({ type: "hide" });
    },
    page: (type, certain) =>
      dispatch({ type, stale: certain || Date.now() + env.heartbeatSeconds * 1000 > (main?.silentAt ?? 0) }),
    close: () => dispatch({ type: "close" }),
  };
}

function drop(held: Held | undefined): undefined {
  held?.transport.close();
}
