/** Run the state machine of `state.ts`: its effects become transports and timers, their reports become its events. */

import { HookcastError } from "./errors.js";
import type { Link } from "./link.js";
import {
  type Effect,
  type End,
  type Event,
  initialState,
  type Lost,
  type State,
  transition,
  transportOf,
} from "./state.js";
import { KINDS } from "./transports/kinds.js";
import { openGentlePolling } from "./transports/polling.js";
import type { Env, Transport } from "./transports/transport.js";
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
}

type Opening = Extract<Effect, { type: "open" }>;
type Pause = Extract<Effect, { type: "after" }>;

/** Open a connection that reports to `env`: the state machine with its transports. Each effect is a function. */
// biome-ignore lint/complexity/noExcessiveLinesPerFunction: closures over one state; the first part alone takes 50 bytes
export function openConnection(env: Env): Link {
  const { tokens } = env;
  /** Topics that the token does not grant, as far as the transport knows. */
  const denied = new Set<Topic>();
  let topics: readonly Topic[] = [];
  let state = initialState(env.ladder);
  let main: Held | undefined;
  let probe: Held | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let looking: ReturnType<typeof setInterval> | undefined;

  /** Take an event: run its effects, close what the new phase does not allow, and report the transport. */
  const dispatch = (event: Event | Lost): void => {
    const [next, steps] = transition(state, event);
    if (next === state) return;
    state = next;
    clearTimeout(timer);
    clearInterval(looking);
    for (const step of steps) effects[step.type](step as never);
    settle(next);
  };
  const settle = ({ phase }: State): void => {
    const live = phase === "live" || phase === "climbing";
    const open = live || phase === "connecting";
    if (phase !== "climbing") probe = void probe?.close();
    if (open) looking = setInterval(look, LOOK_MS);
    else main = void main?.close();
    share();
    env.transport(live ? transportOf(state) : phase === "paused" ? phase : "connecting");
  };

  const effects = {
    open: ({ transport }: Opening) => {
      main?.close();
      denied.clear();
      main = hold(transport);
    },
    probe: ({ transport }: Opening) => {
      probe = hold(transport);
    },
    promote: () => {
      main?.close();
      main = probe;
      probe = undefined;
    },
    authorize: async () => {
      const renewed = await renewToken(env);
      if (renewed !== undefined) dispatch({ type: "done" });
      else if (tokens.renewable) dispatch({ type: "failed" });
    },
    after: ({ base, spread }: Pause) => {
      timer = setTimeout(() => dispatch({ type: "elapsed" }), base + Math.random() * spread);
    },
  };

  const hold = (name: TransportName, open = KINDS[name][0]): Held => {
    const transport = open(env, carried(name), {
      alive: () => {
        held.silentAt = Date.now() + env.heartbeatSeconds * SILENT_MS;
        if (held.openedAt > 0) return;
        held.openedAt = Date.now();
        if ([main, probe].includes(held)) dispatch({ type: "done" });
      },
      state: (job) => {
        if (job) env.state(job);
        // The token grants it now: move it back to the transport.
        if (job && denied.delete(`requestId:${job.requestId}`)) queueMicrotask(share);
      },
      expiring: async () => {
        if (!(await renewToken(env))) return;
        denied.clear();
        main?.renew?.();
        probe?.renew?.();
        share();
      },
      forbidden: (names) => {
        for (const topic of names) denied.add(topic);
        env.error(new HookcastError("not_visible", "Not in the token's claims"), names);
        share();
      },
      ended: (end) => ended(held, end),
    });
    const held: Held = { ...transport, name, silentAt: Date.now() + OPEN_MS, openedAt: 0 };
    return held;
  };

  /** Check for silence, and for jobs that an event stream omits because the token does not grant them. */
  const look = (): void => {
    for (const held of [main, probe]) {
      if (held && KINDS[held.name][1] && Date.now() >= held.silentAt) ended(held, { why: "unfit" });
    }
    if (!tokens.renewable || main?.name !== "sse") return;
    // It does not say so: assume it of every job without a state.
    for (const topic of topics) if (isOfJob(topic) && !env.version(nameOf(topic))) denied.add(topic);
    share();
  };

  const ended = (held: Held, end: End): void => {
    if (held === probe) dispatch({ type: "failed" });
    if (held === main) dispatch({ type: "lost", end, lasted: held.openedAt && Date.now() - held.openedAt });
  };

  /** Return the topics that a transport carries. */
  const carried = (name: TransportName): readonly Topic[] => without(topics, denied).slice(0, KINDS[name][1]);

  /** Assign the topics: the transport watches what it can carry; the rest is polled gently while it is live. */
  const share = (): void => {
    for (const held of [main, probe]) held?.watch(carried(held.name));
    gentle.watch(main?.openedAt ? without(topics, carried(main.name)) : []);
  };

  /** Polls what the transport cannot carry. */
  const gentle = hold("poll", openGentlePolling);
  return {
    want: (names) => {
      const [added] = without(names, topics);
      topics = names;
      share();
      if (names.length === 0) dispatch({ type: "stop" });
      if (added) dispatch({ type: "start" });
      if (env.whenHidden === "pause" && env.hidden()) dispatch({ type: "hide" });
    },
    page: (type, certain) => {
      const heard = Date.now() + env.heartbeatSeconds * 1000;
      dispatch({ type, stale: certain || heard > (main?.silentAt ?? 0) });
    },
    close: () => dispatch({ type: "close" }),
  };
}

/** Renew the token, and return whether it is another one; undefined if that failed. */
async function renewToken({ tokens, error }: Env): Promise<boolean | undefined> {
  try {
    if (!tokens.renewable) throw new HookcastError("unauthorized", "No token");
    const old = await tokens.get();
    return old !== (await tokens.get(old));
  } catch (reason) {
    error(reason as HookcastError);
    return undefined;
  }
}
