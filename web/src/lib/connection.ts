/** Run the state machine of `state.ts`: its effects become transports and timers, their reports become its events. */

import { HookcastError } from "./errors.js";
import type { Link } from "./link.js";
import type { TellPage } from "./page.js";
import { type Effect, type End, type Event, initialState, type Lost, transition, transportOf } from "./state.js";
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

/** Open a connection that reports to `env`. */
export function openConnection(env: Env): Link {
  return new Connection(env);
}

/** The state machine with its transports. Each effect is a method: `open`, `probe`, `promote`, `authorize`, `after`. */
class Connection implements Link {
  readonly #env: Env;
  /** Topics that the token does not grant, as far as the transport knows. */
  readonly #forbidden = new Set<Topic>();
  #topics: readonly Topic[] = [];
  /** Polls what the transport cannot carry. */
  readonly #gentle;
  #state;
  #main: Held | undefined;
  #probe: Held | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looking: ReturnType<typeof setInterval> | undefined;

  constructor(env: Env) {
    this.#env = env;
    this.#state = initialState(env.ladder);
    this.#gentle = this.#hold("poll", openGentlePolling);
  }

  readonly want = (topics: readonly Topic[]): void => {
    const env = this.#env;
    const added = without(topics, this.#topics).length > 0;
    this.#topics = topics;
    this.#share();
    if (topics.length === 0) this.#dispatch({ type: "stop" });
    if (added) this.#dispatch({ type: "start" });
    if (env.whenHidden === "pause" && env.hidden()) this.#dispatch({ type: "hide" });
  };

  readonly page: TellPage = (type, certain) => {
    const heard = Date.now() + this.#env.heartbeatSeconds * 1000;
    this.#dispatch({ type, stale: certain || heard > (this.#main?.silentAt ?? 0) });
  };

  close(): void {
    this.#dispatch({ type: "close" });
  }

  /** Take an event: run its effects, close what the new phase does not allow, and report the transport. */
  #dispatch(event: Event | Lost): void {
    const [next, effects] = transition(this.#state, event);
    if (next === this.#state) return;
    this.#state = next;
    clearTimeout(this.#timer);
    clearInterval(this.#looking);
    for (const effect of effects) this[effect.type](effect as never);
    const { phase } = next;
    const live = phase === "live" || phase === "climbing";
    const open = live || phase === "connecting";
    if (phase !== "climbing") this.#probe = void this.#probe?.close();
    if (!open) this.#main = void this.#main?.close();
    if (open) this.#looking = setInterval(() => this.#look(), LOOK_MS);
    this.#share();
    this.#env.transport(live ? transportOf(next) : phase === "paused" ? phase : "connecting");
  }

  open({ transport }: Opening): void {
    this.#main?.close();
    this.#forbidden.clear();
    this.#main = this.#hold(transport);
  }

  probe({ transport }: Opening): void {
    this.#probe = this.#hold(transport);
  }

  promote(): void {
    this.#main?.close();
    this.#main = this.#probe;
    this.#probe = undefined;
  }

  async authorize(): Promise<void> {
    const renewed = await renewToken(this.#env);
    if (renewed !== undefined) this.#dispatch({ type: "done" });
    else if (this.#env.tokens.renewable) this.#dispatch({ type: "failed" });
  }

  after({ base, spread }: Pause): void {
    this.#timer = setTimeout(() => this.#dispatch({ type: "elapsed" }), base + Math.random() * spread);
  }

  #hold(name: TransportName, open = KINDS[name][0]): Held {
    const env = this.#env;
    const transport = open(env, this.#carried(name), {
      alive: () => {
        held.silentAt = Date.now() + env.heartbeatSeconds * SILENT_MS;
        if (held.openedAt > 0) return;
        held.openedAt = Date.now();
        if ([this.#main, this.#probe].includes(held)) this.#dispatch({ type: "done" });
      },
      state: (job) => {
        if (job) env.state(job);
        // The token grants it now: move it back to the transport.
        if (job && this.#forbidden.delete(`job:${job.requestId}`)) queueMicrotask(() => this.#share());
      },
      expiring: async () => {
        if (!(await renewToken(env))) return;
        this.#forbidden.clear();
        this.#main?.renew?.();
        this.#probe?.renew?.();
        this.#share();
      },
      forbidden: (topics) => {
        for (const topic of topics) this.#forbidden.add(topic);
        env.error(new HookcastError("not_visible", "Not visible"), topics);
        this.#share();
      },
      ended: (end) => this.#ended(held, end),
    });
    const held: Held = { ...transport, name, silentAt: Date.now() + OPEN_MS, openedAt: 0 };
    return held;
  }

  /** Check for silence, and for jobs that an event stream omits because the token does not grant them. */
  #look(): void {
    for (const held of [this.#main, this.#probe]) {
      if (held && KINDS[held.name][1] && Date.now() >= held.silentAt) this.#ended(held, { why: "unfit" });
    }
    const { tokens, version } = this.#env;
    if (!tokens.renewable || this.#main?.name !== "sse") return;
    // It does not say so: assume it of every job without a state.
    for (const topic of this.#topics.filter(isOfJob)) if (!version(nameOf(topic))) this.#forbidden.add(topic);
    this.#share();
  }

  #ended(held: Held, end: End): void {
    if (held === this.#probe) this.#dispatch({ type: "failed" });
    if (held === this.#main) this.#dispatch({ type: "lost", end, lasted: held.openedAt && Date.now() - held.openedAt });
  }

  /** Return the topics that a transport carries. */
  #carried(name: TransportName): readonly Topic[] {
    return without(this.#topics, this.#forbidden).slice(0, KINDS[name][1]);
  }

  /** Assign the topics: the transport watches what it can carry; the rest is polled gently while it is live. */
  #share(): void {
    const main = this.#main;
    main?.watch(this.#carried(main.name));
    this.#probe?.watch(this.#carried(this.#probe.name));
    this.#gentle.watch(main?.openedAt ? without(this.#topics, this.#carried(main.name)) : []);
  }
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
