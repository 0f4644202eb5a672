/** One job from the press of the button to its end: the calls, the watcher and the card together. */

import { type Answer, cancel, eventsUrl, type Fetch, get, newKey, type Submission, submit, type Ticket } from "./api";
import { Card } from "./card";
import type { Snapshot } from "./job";
import { Slots } from "./slots";
import { type WatchDeps, Watcher, type WatchState } from "./watch";
import { type Stage, stageOf } from "./words";

/** Four streams leave two of a browser's six connections for everything else. */
const streams = new Slots(4);
const CANCEL_FAILED = "The cancel request did not get through. The job goes on.";
const fetcher: Fetch = (url, init) => fetch(url, init);

export interface RunEvents {
  readonly accepted: (run: Run, ticket: Ticket) => void;
  readonly moved: (run: Run) => void;
  readonly lost: (run: Run) => void;
}

export class Run {
  readonly card: Card;
  stage: Stage = "submitting";
  ticket: Ticket | null = null;
  readonly prompt: string;
  readonly #events: RunEvents;
  #watcher: Watcher | null = null;
  #submission: Submission | null = null;
  readonly #key = newKey();

  constructor(prompt: string, endpointId: string | null, events: RunEvents) {
    this.prompt = prompt;
    this.#events = events;
    this.card = new Card(prompt, endpointId, { cancel: () => void this.#cancel(), retry: () => void this.#submit() });
  }

  get active(): boolean {
    return this.stage === "submitting" || (this.#watcher !== null && this.#watcher.state.transport !== "done");
  }

  async submit(submission: Submission): Promise<void> {
    this.#submission = submission;
    await this.#submit();
  }

  async #submit(): Promise<void> {
    if (this.#submission === null) return;
    this.#move("submitting");
    this.card.submitting();
    const answer = await submit(fetcher, this.#submission, this.#key);
    if ("problem" in answer) {
      this.card.rejected(answer.problem);
      this.#move("idle");
      return;
    }
    this.#accept(answer.ticket);
    this.#events.accepted(this, answer.ticket);
    this.#follow(answer.ticket, answer.snapshot);
  }

  /** Reopens a job of before a reload; a job that the server does not know is lost. */
  async reopen(ticket: Ticket): Promise<void> {
    this.#accept(ticket);
    const answer = await get(fetcher, ticket, null);
    if (answer.kind === "gone") this.#events.lost(this);
    else this.#follow(ticket, answer.kind === "state" ? answer.snapshot : null);
  }

  /** Asks for the state once, out of turn. */
  check(): void {
    void this.#watcher?.check();
  }

  tick(now: number): void {
    if (this.active) this.card.tick(now);
  }

  #accept(ticket: Ticket): void {
    this.ticket = ticket;
    this.card.accepted(ticket.requestId);
  }

  #follow(ticket: Ticket, first: Snapshot | null): void {
    const deps: WatchDeps = {
      open: () => new EventSource(eventsUrl(ticket)),
      ask: (version) => get(fetcher, ticket, version),
      acquire: streams.acquire,
      changed: (state) => this.#changed(state),
      setTimer: (run, ms) => window.setTimeout(run, ms),
      clearTimer: (timer) => window.clearTimeout(timer),
    };
    this.#watcher = new Watcher(deps, first);
    this.#watcher.start();
  }

  #changed(state: WatchState): void {
    this.card.show(state);
    this.#move(state.snapshot === null ? "idle" : stageOf(state.snapshot.job));
  }

  #move(stage: Stage): void {
    this.stage = stage;
    this.#events.moved(this);
  }

  async #cancel(): Promise<void> {
    const watcher = this.#watcher;
    if (this.ticket === null || watcher === null) return;
    this.card.cancelSent();
    const answer: Answer = await cancel(fetcher, this.ticket);
    if (answer.kind === "state") watcher.offer(answer.snapshot);
    if (answer.kind === "same") await watcher.check();
    this.card.cancelAnswered(answer.kind === "failed" ? CANCEL_FAILED : null);
    this.card.show(watcher.state);
  }
}
