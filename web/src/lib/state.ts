/**
 * The connection of a page as a state machine: (state, event) → (state, effects). Pure: no sockets, clocks, timers or
 * randomness. `TABLE` is the table of SPEC.md; a pair that is not in it changes nothing.
 *
 * The phase alone determines what is open: a transport in `connecting`, `live` and `climbing`; a second one, the
 * probe, in `climbing`; nothing in the others. A timer belongs to the transition that set it; the next one clears it.
 */

import type { TransportName } from "./types.js";

/** After this many connections in a row that fail or end within `STABLE_MS`, the next transport is tried. */
export const MAX_STRIKES = 3;
export const STABLE_MS = 10_000;
/** A connection of this age shows that an earlier problem is solved: climbing starts over with its shortest pause. */
export const TRUSTED_MS = 300_000;
export const PAUSE_MS = 1_000;
export const MAX_PAUSE_MS = 30_000;
export const CLIMB_MS = 5_000;
export const MAX_CLIMB_MS = 600_000;

export type Phase = "idle" | "connecting" | "live" | "climbing" | "waiting" | "authorizing" | "paused" | "closed";

export interface State {
  readonly phase: Phase;
  /** The permitted transports, best first, and the index of the current one. */
  readonly ladder: readonly TransportName[];
  readonly rung: number;
  /** Short or failed connections in a row on this rung; at `MAX_STRIKES` it is left. */
  readonly strikes: number;
  /** Pauses in a row; each doubles the next. */
  readonly attempt: number;
  /** Climbs so far; each doubles the time until the next. */
  readonly climbs: number;
  /** The server's Retry-After for a better transport: milliseconds before the next climb. */
  readonly rest: number;
}

/**
 * Why a connection ended. `failed`: could not connect, or was closed; reconnect, `after` milliseconds later if the
 * server named a time. `unfit`: the transport does not work now (silent, 204, 404), and not before `after`. `barred`:
 * never use it again (4500 to 4999). `unauthorized`: needs a new token. `left`: closed because the page is hidden.
 */
export interface End {
  readonly why: "failed" | "unfit" | "barred" | "unauthorized" | "left";
  readonly after?: number | undefined;
}

export type EventType =
  | "start" // topics were added
  | "stop" // no topics are left
  | "done" // the attempt succeeded: a sign of life of the transport or the probe, or a new token
  | "failed" // the attempt failed: the probe, or getToken
  | "lost" // the transport ended
  | "elapsed" // the timer of the phase fired
  | "wake" // the page is visible, online or restored
  | "hide" // the page is left, or hidden with `whenHidden: "pause"`
  | "close"; // the client was closed

export interface Event {
  readonly type: EventType;
  /** For `wake`: the connection may be dead without having been closed. */
  readonly stale?: boolean;
}

export interface Lost extends Event {
  readonly type: "lost";
  readonly end: End;
  /** Milliseconds since its first sign of life, 0 if there was none. */
  readonly lasted: number;
}

export type Effect =
  | { readonly type: "open" | "probe"; readonly transport: TransportName }
  /** `promote`: make the probe the transport. `authorize`: get a new token. */
  | { readonly type: "promote" | "authorize" }
  /** Dispatch `elapsed` after `base` milliseconds plus a random part of `spread`. */
  | { readonly type: "after"; readonly base: number; readonly spread: number };

export type Step = readonly [State, readonly Effect[]];

export function initialState(ladder: readonly TransportName[]): State {
  return { phase: "idle", ladder, rung: 0, strikes: 0, attempt: 0, climbs: 0, rest: 0 };
}

/** Return the transport of the current rung. */
export function transportOf(state: State): TransportName {
  return state.ladder[state.rung] as TransportName;
}

function go(state: State, phase: Phase, ...effects: Effect[]): Step {
  return [{ ...state, phase }, effects];
}

function connect(state: State): Step {
  return go(state, "connecting", { type: "open", transport: transportOf(state) });
}

/** Go live; below the top rung, schedule a climb. */
function live(state: State): Step {
  const base = Math.max(state.rest, Math.min(MAX_CLIMB_MS, CLIMB_MS * 2 ** state.climbs));
  return state.rung === 0 ? go(state, "live") : go(state, "live", { type: "after", base, spread: base / 2 });
}

/** Return the rung to probe next: the better ones in turn. */
function target(state: State): number {
  return state.climbs % state.rung;
}

function climb(state: State): Step {
  return go({ ...state, rest: 0 }, "climbing", {
    type: "probe",
    transport: transportOf({ ...state, rung: target(state) }),
  });
}

function promote(state: State): Step {
  const [next, effects] = live({ ...state, rung: target(state), strikes: 0, climbs: state.climbs + 1 });
  return [next, [{ type: "promote" }, ...effects]];
}

/** Handle the end of a connection: reset counters by how long it lasted, then act on why it ended. */
function recover(state: State, event: Event): Step {
  const {
    end: { why, after },
    lasted,
  } = event as Lost;
  const calm = lasted < STABLE_MS ? state : { ...state, strikes: 0, attempt: 0 };
  const sure = lasted < TRUSTED_MS ? calm : { ...calm, climbs: 0 };
  if (why === "barred") return lower({ ...sure, ladder: sure.ladder.toSpliced(sure.rung, 1), rung: sure.rung - 1 });
  if (why === "unfit") return lower({ ...sure, rest: after ?? 0 });
  if (why === "unauthorized") return reauthorize(sure);
  return why === "left" ? go(sure, "paused") : strike(sure, after);
}

function strike(state: State, after: number | undefined): Step {
  const strikes = state.strikes + 1;
  if (strikes >= MAX_STRIKES) return lower(state, after);
  // The server has spread the times that it names; add our own pause only if one did not help.
  return later({ ...state, strikes }, "waiting", after, after === undefined || state.attempt > 0 ? undefined : 0);
}

/** Connect with the next transport at once; below the last one, restart at the top after a pause. */
function lower(state: State, after?: number): Step {
  const next = { ...state, rung: state.rung + 1, strikes: 0 };
  if (!state.ladder[next.rung]) return later({ ...next, rung: 0 }, "waiting", after);
  // After a pass over the whole ladder, pauses keep growing from rung to rung.
  return connect(state.attempt < MAX_STRIKES ? { ...next, attempt: 0 } : next);
}

/** Pause with full jitter: 0 to a doubling maximum (AWS Architecture Blog, "Exponential Backoff And Jitter"). */
function later(
  state: State,
  phase: Phase,
  base = 0,
  spread = Math.min(MAX_PAUSE_MS, PAUSE_MS * 2 ** state.attempt),
): Step {
  return go({ ...state, attempt: state.attempt + 1 }, phase, { type: "after", base, spread });
}

function authorize(state: State): Step {
  return go(state, "authorizing", { type: "authorize" });
}

/** Get a new token: at once after a connection that lasted, else after growing pauses. */
function reauthorize(state: State): Step {
  return state.attempt > 0 ? later(state, "authorizing") : authorize({ ...state, attempt: 1 });
}

type Action = (state: State, event: Event) => Step;

export const ACTIONS = {
  connect,
  live,
  climb,
  promote,
  settle: (state: State): Step => live({ ...state, climbs: state.climbs + 1 }),
  recover,
  authorize,
  defer: (state: State): Step => later(state, "authorizing"),
  reopen: (state: State, event: Event): Step => (event.stale ? connect(state) : [state, []]),
} satisfies Record<string, Action>;

/** What an event does: an action, or a phase that it leads to without effects. */
type Row = { readonly [type in EventType]?: keyof typeof ACTIONS | "idle" | "paused" | "closed" };
const left: Row = { stop: "idle", hide: "paused", close: "closed" };

export const TABLE: { readonly [phase in Phase]: Row } = {
  idle: { start: "connect", close: "closed" },
  connecting: { ...left, done: "live", lost: "recover" },
  live: { ...left, lost: "recover", elapsed: "climb", wake: "reopen" },
  climbing: { ...left, done: "promote", failed: "settle", lost: "recover", wake: "reopen" },
  waiting: { ...left, elapsed: "connect", wake: "connect" },
  authorizing: { ...left, done: "connect", failed: "defer", elapsed: "authorize", start: "authorize" },
  paused: { stop: "idle", wake: "connect", close: "closed" },
  closed: {},
};

export function transition(state: State, event: Event): Step {
  const action = TABLE[state.phase][event.type];
  if (!action) return [state, []];
  return action in ACTIONS ? ACTIONS[action as keyof typeof ACTIONS](state, event) : go(state, action as Phase);
}
