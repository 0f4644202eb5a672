/** Follows one job: its live stream while that works, a request every three seconds while it does not. */

import type { Answer } from "./api";
import { isTerminal, readSnapshot, type Snapshot } from "./job";

export const POLL_MS = 3_000;
/** A stream sends the job's state first; one that stays silent for this long is stuck on the way. */
const STALL_MS = 5_000;
const BACKOFF_MS = [1_000, 2_000, 4_000, 8_000, 15_000] as const;
const CLOSED = 2;

export type Transport = "connecting" | "live" | "polling" | "done";
/** Why the job is polled: its stream broke, or all live connections are taken by other jobs. */
export type PollReason = "interrupted" | "busy";

export interface WatchState {
  readonly snapshot: Snapshot | null;
  readonly transport: Transport;
  readonly reason: PollReason | null;
  /** The last request went unanswered as well. */
  readonly unreachable: boolean;
  /** The server does not know the job any more. */
  readonly gone: boolean;
}

export type WatchEvent =
  | { readonly type: "frame"; readonly snapshot: Snapshot }
  | { readonly type: "offered"; readonly snapshot: Snapshot }
  | { readonly type: "answered"; readonly answer: Answer }
  | { readonly type: "broken"; readonly reason: PollReason };

export function initialState(snapshot: Snapshot | null): WatchState {
  const transport = snapshot !== null && isTerminal(snapshot.job) ? "done" : "connecting";
  return { snapshot, transport, reason: null, unreachable: false, gone: false };
}

/** The next state; the very same object when the event changes nothing. */
export function reduce(state: WatchState, event: WatchEvent): WatchState {
  switch (event.type) {
    case "frame":
      return settle({ ...take(state, event.snapshot), transport: "live", reason: null, unreachable: false });
    case "offered":
      return settle(take(state, event.snapshot));
    case "answered":
      return answered(state, event.answer);
    case "broken":
      return state.transport === "done" ? state : { ...state, transport: "polling", reason: event.reason };
  }
}

/** A state whose version is not newer is ignored. */
function take(state: WatchState, next: Snapshot): WatchState {
  const known = state.snapshot?.job.version ?? 0;
  return next.job.version > known ? { ...state, snapshot: next } : state;
}

function settle(state: WatchState): WatchState {
  if (state.snapshot === null || !isTerminal(state.snapshot.job)) return state;
  return { ...state, transport: "done", reason: null, unreachable: false };
}

function answered(state: WatchState, answer: Answer): WatchState {
  if (state.transport === "done") return state;
  switch (answer.kind) {
    case "state":
      return settle({ ...take(state, answer.snapshot), unreachable: false });
    case "same":
      return { ...state, unreachable: false };
    case "gone":
      return { ...state, transport: "done", reason: null, gone: true };
    case "failed":
      return { ...state, unreachable: state.transport === "polling" };
  }
}

/** The part of EventSource that is used. */
export interface Source {
  readonly readyState: number;
  addEventListener(type: string, listener: (event: MessageEvent<unknown>) => void): void;
  close(): void;
}

export interface WatchDeps {
  readonly open: () => Source;
  readonly ask: (version: number | null) => Promise<Answer>;
  readonly acquire: (ready: () => void) => () => void;
  readonly changed: (state: WatchState) => void;
  readonly setTimer: (run: () => void, ms: number) => number;
  readonly clearTimer: (timer: number) => void;
}

export class Watcher {
  #state: WatchState;
  readonly #deps: WatchDeps;
  #source: Source | null = null;
  #release: (() => void) | null = null;
  #attempt = 0;
  #polling = false;
  #pollTimer = 0;
  #retryTimer = 0;
  #stallTimer = 0;

  constructor(deps: WatchDeps, first: Snapshot | null) {
    this.#deps = deps;
    this.#state = initialState(first);
  }

  get state(): WatchState {
    return this.#state;
  }

  start(): void {
    this.#deps.changed(this.#state);
    if (this.#state.transport === "done") return;
    this.#release = this.#deps.acquire(() => this.#connect());
    if (this.#source === null) this.#dispatch({ type: "broken", reason: "busy" });
  }

  /** Takes a state that arrived by another way, such as the answer to a cancel request. */
  offer(snapshot: Snapshot): void {
    this.#dispatch({ type: "offered", snapshot });
  }

  /** Asks once, out of turn: after sleep or a lost network a stream may look open and be dead. */
  async check(): Promise<void> {
    if (this.#state.transport === "done") return;
    const answer = await this.#deps.ask(this.#state.snapshot?.job.version ?? null);
    this.#dispatch({ type: "answered", answer });
  }

  #dispatch(event: WatchEvent): void {
    this.#state = reduce(this.#state, event);
    if (this.#state.transport === "polling") this.#startPolling();
    else this.#stopPolling();
    // A stream that brought the last state says `end` next and is closed then.
    if (this.#state.transport === "done" && event.type !== "frame") this.#close();
    this.#deps.changed(this.#state);
  }

  #connect(): void {
    const source = this.#deps.open();
    this.#source = source;
    this.#stallTimer = this.#deps.setTimer(() => this.#broken(), STALL_MS);
    source.addEventListener("job", (event) => this.#frame(source, event.data));
    source.addEventListener("error", () => this.#failed(source));
    source.addEventListener("end", () => this.#ended(source));
  }

  #frame(source: Source, data: unknown): void {
    const snapshot = typeof data === "string" ? readSnapshot(data) : null;
    if (source !== this.#source || snapshot === null) return;
    this.#attempt = 0;
    this.#deps.clearTimer(this.#stallTimer);
    this.#dispatch({ type: "frame", snapshot });
  }

  /** The browser reconnects by itself, except after an answer that is no stream: then it gives up and we go on. */
  #failed(source: Source): void {
    if (source !== this.#source) return;
    if (this.#state.transport === "done") {
      this.#close();
      return;
    }
    if (source.readyState === CLOSED) {
      const pause = BACKOFF_MS[Math.min(this.#attempt, BACKOFF_MS.length - 1)];
      this.#attempt += 1;
      this.#deps.clearTimer(this.#retryTimer);
      this.#retryTimer = this.#deps.setTimer(() => this.#connect(), pause ?? POLL_MS);
    }
    this.#broken();
  }

  #ended(source: Source): void {
    if (source !== this.#source) return;
    this.#close();
    // The stream ended before we saw the last state: the job itself can still be asked.
    if (this.#state.transport !== "done") this.#broken();
  }

  #broken(): void {
    this.#deps.clearTimer(this.#stallTimer);
    this.#dispatch({ type: "broken", reason: "interrupted" });
  }

  #startPolling(): void {
    if (this.#polling) return;
    this.#polling = true;
    void this.#poll();
  }

  #stopPolling(): void {
    this.#polling = false;
    this.#deps.clearTimer(this.#pollTimer);
  }

  async #poll(): Promise<void> {
    await this.check();
    this.#deps.clearTimer(this.#pollTimer);
    if (this.#polling) this.#pollTimer = this.#deps.setTimer(() => void this.#poll(), POLL_MS);
  }

  #close(): void {
    this.#deps.clearTimer(this.#stallTimer);
    this.#deps.clearTimer(this.#retryTimer);
    this.#source?.close();
    this.#source = null;
    this.#release?.();
    this.#release = null;
  }
}
