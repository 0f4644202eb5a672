/** Run the state machine of `state.ts`: its effects become transports and timers, their reports become its events. */

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
 * How to open each transport and, for streams, the maximum number of topics; topics past it are polled gently. Streams
 * send heartbeats, so silence ends them. SSE: four requests of 200, of the browser's six HTTP/1.1 connections per host.
 */
const KINDS: Record<TransportName, readonly [open: OpenTransport, topics?: number]> = {
  websocket: [openWebSocket, 1000],
  sse: [openEventStreams, 800],
  "long-poll": [openLongPolling],
  poll: [openPolling],
};
/** Deadline for the first sign of life of a stream: behind a proxy that buffers it, the transport is unusable. */
export const OPEN_MS = 5_000;
export const SILENT_HEARTBEATS = 2.5;
/** How often silence is checked, by the wall clock: timers stop while a machine sleeps. */
export const LOOK_MS = 5_000;

/** An open transport. */
interface Held {
  readonly name: TransportName;
  readonly transport: Transport;
  /** The time of its first sign of life, 0 before it; and the time at which it counts as silent. */
  openedAt: number;
  silentAt: number;
}

/** Open a connection that reports to `env`. */
export function openConnection(env: Env): Link {
  let state = initialState(env.ladder);
  let topics: readonly Topic[] = [];
  let main: Held | undefined;
  let probe: Held | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let looking: ReturnType<typeof setInterval> | undefined;
  /** Topics that the token does not grant, as far as the transport knows. */
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
  /** Close what the phase does not allow, and report the transport. */
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
  /** An event stream omits jobs that its token does not grant: assume so of every job without a state. */
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
    // The token grants it now: move it back to the transport.
    if (forbidden.delete(`job:${job.requestId}`)) queueMicrotask(share);
  };

  const authorize = async () => {
    if (await token()) dispatch({ type: "done" });
    else if (env.tokens.renewable) dispatch({ type: "failed" });
  };
  /** Renew the token, and return whether that succeeded. */
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
  /** Assign the topics: the transport watches what it can carry; the rest is polled gently while it is live. */
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
