/** Run the state machine of `state.ts`: its effects become transports and timers, their reports become its events. */

import { HookcastError } from "./errors.js";
import type { Link } from "./link.js";
import {
  type Effect,
  type End,
  type Event,
  type EventType,
  initialState,
  type Lost,
  type Phase,
  transition,
} from "./state.js";
import { KINDS } from "./transports/kinds.js";
import { openGentlePolling } from "./transports/polling.js";
import type { Env, SharedEnv, Transport } from "./transports/transport.js";
import type { TransportName } from "./types.js";
import { isOfJob, nameOf, type Topic, without } from "./wire.js";

/** Deadline for the first sign of life of a stream: behind a proxy that buffers it, the transport is unusable. */
export const OPEN_MS = 5_000;
/** A stream counts as silent after 2.5 heartbeats: the milliseconds for each second of a heartbeat. */
export const SILENT_MS = 2_500;
/** How often silence is checked, by the wall clock: timers stop while a machine sleeps. */
export const LOOK_MS = 5_000;

/** An open transport. */
interface Held extends Transport {
  readonly name: TransportName;
  /** The time of its first sign of life, 0 before it; and the time at which it counts as silent. */
  openedAt: number;
  silentAt: number;
  ended(end: End): void;
}

type Dispatch = (type: EventType, details?: Omit<Event, "type"> | Omit<Lost, "type">) => void;
type Opening = Extract<Effect, { type: "open" }>;
type Pause = Extract<Effect, { type: "after" }>;
type Effects = { readonly [type in Effect["type"]]: (step: never) => unknown };

/** How many transports a phase allows: the main one and, while climbing, the probe. */
const ALLOWED: { readonly [phase in Phase]?: number } = { connecting: 1, live: 1, climbing: 2 };

/** Open a connection that reports to `env`: the state machine with its transports. */
export function openConnection(env: Env): Link {
  /** The main transport, then the probe. */
  const held: Held[] = [];
  const [share, look, denied, reports] = createTopics(env, held);
  let looking: ReturnType<typeof setInterval> | undefined;

  /** Close all transports but the first `count`. */
  const keep = (count = 0) => {
    for (const one of held.splice(count)) one.close();
  };
  const probe = ({ transport }: Opening) => held.push(hold(transport, held, reports, dispatch));
  const open = (step: Opening) => {
    keep();
    denied.clear();
    probe(step);
  };
  /** Close what the new phase does not allow, and report the transport. */
  const settle = (phase: Phase) => {
    keep(ALLOWED[phase]);
    const [main] = held;
    clearInterval(looking);
    if (main) looking = setInterval(look, LOOK_MS);
    share();
    env.transport(main?.openedAt ? main.name : phase === "paused" ? phase : "connecting");
  };
  const dispatch = createMachine(env, { open, probe, promote: () => held.shift()?.close() }, settle);
  return {
    want: (names) => {
      const added = share(names);
      if (names.length === 0) dispatch("stop");
      if (added) dispatch("start");
      if (env.whenHidden === "pause" && env.hidden()) dispatch("hide");
    },
    page: (type, certain) => {
      const heard = Date.now() + env.heartbeatSeconds * 1000;
      dispatch(type, { stale: certain || heard > (held[0]?.silentAt ?? 0) });
    },
    close: () => dispatch("close"),
  };
}

/** Run the state machine: each effect is a function. Returns what takes an event; then `settle` gets the new phase. */
function createMachine(
  env: Env,
  transports: Omit<Effects, "authorize" | "after">,
  settle: (phase: Phase) => void,
): Dispatch {
  let state = initialState(env.ladder);
  let timer: ReturnType<typeof setTimeout> | undefined;

  const dispatch: Dispatch = (type, details) => {
    const [next, steps] = transition(state, { type, ...details });
    if (next === state) return;
    state = next;
    clearTimeout(timer);
    for (const step of steps) effects[step.type](step as never);
    settle(next.phase);
  };
  const effects: Effects = {
    ...transports,
    authorize: async () => {
      const asked = state;
      const renewed = await renewToken(env);
      // A later request for a token, such as for a new watch, or another phase has taken its place.
      if (state !== asked) return;
      if (renewed !== undefined) dispatch("done");
      else if (env.tokens.renewable) dispatch("failed");
    },
    after: ({ base, spread }: Pause) => {
      timer = setTimeout(() => dispatch("elapsed"), base + Math.random() * spread);
    },
  };
  return dispatch;
}

/** Open a transport. Its signs of life and its end are dispatched while it is one of `held`. */
function hold(name: TransportName, held: readonly Held[], env: SharedEnv, dispatch: Dispatch): Held {
  const ended = (end: End) => {
    const lasted = one.openedAt && Date.now() - one.openedAt;
    if (held.includes(one)) dispatch(one === held[0] ? "lost" : "failed", { end, lasted });
  };
  const alive = () => {
    one.silentAt = Date.now() + env.heartbeatSeconds * SILENT_MS;
    if (one.openedAt > 0) return;
    one.openedAt = Date.now();
    if (held.includes(one)) dispatch("done");
  };
  const transport = KINDS[name][0]({ ...env, alive, ended });
  const one: Held = { ...transport, name, ended, silentAt: Date.now() + OPEN_MS, openedAt: 0 };
  return one;
}

/** Assign the topics: a transport carries what it can; the rest is polled gently while the connection is live. */
function createTopics(env: Env, held: readonly Held[]) {
  /** Topics that the token does not grant, as far as the transport knows. */
  const denied = new Set<Topic>();
  let topics: readonly Topic[] = [];

  /** Return the topics that a transport carries. */
  const carried = (name: TransportName): readonly Topic[] => without(topics, denied).slice(0, KINDS[name][1]);
  /** Assign the topics again, or other ones; return one that was not among them before. */
  const share = (names = topics) => {
    const [main] = held;
    const [added] = without(names, topics);
    topics = names;
    for (const one of held) one.watch(carried(one.name));
    gentle.watch(main?.openedAt ? without(topics, carried(main.name)) : []);
    return added;
  };
  const reports = reporter(env, held, denied, share);
  /** Check for silence, and for jobs that an event stream omits because the token does not grant them. */
  const look = () => {
    for (const one of held) if (KINDS[one.name][1] && Date.now() >= one.silentAt) one.ended({ why: "unfit" });
    if (!env.tokens.renewable || held[0]?.name !== "sse") return;
    // It does not say so: assume it of every job without a state.
    for (const topic of topics) if (isOfJob(topic) && !env.version(nameOf(topic))) denied.add(topic);
    share();
  };
  /** Polls what the transport cannot carry. */
  const gentle = openGentlePolling(reports);
  return [share, look, denied, reports] as const;
}

/** Return what the transports report to: a state, the end of a token, what it does not grant. */
function reporter(env: Env, held: readonly Held[], denied: Set<Topic>, share: () => void): SharedEnv {
  return {
    ...env,
    state: (job) => {
      if (!job) return;
      env.state(job);
      // The token grants it now: move it back to the transport.
      if (denied.delete(`requestId:${job.requestId}`)) queueMicrotask(share);
    },
    expiring: async () => {
      if (!(await renewToken(env))) return;
      denied.clear();
      for (const one of held) one.renew?.();
      share();
    },
    forbidden: (names) => {
      for (const topic of names) denied.add(topic);
      env.error(new HookcastError("not_visible", "The token's `sub`, `jobs` and `groups` do not show it."), names);
      share();
    },
  };
}

/** Renew the token, and return whether it is another one; undefined if that failed. */
async function renewToken({ tokens, error }: Env): Promise<boolean | undefined> {
  try {
    if (!tokens.renewable) throw new HookcastError("unauthorized", "No token: pass `getToken`.");
    const old = await tokens.get();
    return old !== (await tokens.get(old));
  } catch (reason) {
    error(reason as HookcastError);
    return undefined;
  }
}
