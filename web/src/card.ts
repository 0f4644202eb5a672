/** One job on the page. */

import type { Problem } from "./api";
import { byId, copyFrom, part, say } from "./dom";
import { isTerminal, type Job, type Snapshot } from "./job";
import { mediaOf } from "./media";
import { mediaElements } from "./player";
import { elapsedSeconds, formatSeconds, fraction } from "./progress";
import { pretty, rawMember } from "./rawjson";
import type { WatchState } from "./watch";
import { noticeWords, phaseWords, positionWords } from "./words";

export interface CardActions {
  readonly cancel: () => void;
  readonly retry: () => void;
}

export class Card {
  readonly element: HTMLElement;
  #job: Job | null = null;
  #shown = 0;
  #requestId = "";
  /** Why the last cancel request failed. */
  #trouble: string | null = null;
  readonly #submittedAt = Date.now();
  readonly #prompt: string;

  constructor(prompt: string, endpointId: string | null, actions: CardActions) {
    const copy = byId("card", HTMLTemplateElement).content.firstElementChild?.cloneNode(true);
    if (!(copy instanceof HTMLElement)) throw new Error("The card template is empty");
    this.element = copy;
    this.#prompt = prompt;
    say(this.#part("prompt"), prompt);
    say(this.#part("endpoint"), endpointId);
    this.#part("cancel").addEventListener("click", actions.cancel);
    this.#part("retry").addEventListener("click", actions.retry);
    this.#part("id").addEventListener("click", () => void copyFrom(this.#part("id"), this.#requestId));
  }

  #part(name: string): HTMLElement {
    return part(this.element, name);
  }

  /** Shows that the job is on its way to the server. */
  submitting(): void {
    this.#head("submitting", "connecting");
    say(this.#part("phase"), "Submitting");
    this.#part("problem").hidden = true;
    this.#part("retry").hidden = true;
  }

  /** Names the job: from here on it exists on the server. */
  accepted(requestId: string): void {
    this.#requestId = requestId;
    this.element.dataset.requestId = requestId;
    say(this.#part("id"), requestId);
  }

  /** Shows why the job could not be submitted. */
  rejected(problem: Problem): void {
    this.#head("rejected", "done");
    say(this.#part("phase"), "Not submitted");
    say(this.#part("error"), problem.title);
    const code = problem.code === null ? null : `(${problem.code})`;
    say(this.#part("error-more"), [problem.detail, code].filter((text) => text !== null).join(" "));
    this.#detail(problem.falBody);
    this.#part("problem").hidden = false;
    this.#part("retry").hidden = !problem.retryable;
  }

  /** Shows a state of the job and how it is being followed. */
  show(state: WatchState): void {
    if (state.transport === "done") this.#trouble = null;
    const notices = [this.#trouble, noticeWords(state)].filter((text) => text !== null);
    say(this.#part("notice"), notices.join(" "));
    const status = state.gone ? "gone" : (state.snapshot?.job.status ?? "connecting");
    this.#head(status, state.transport);
    if (state.snapshot !== null && state.snapshot.job.version > this.#shown) this.#snapshot(state.snapshot);
    if (state.snapshot === null) say(this.#part("phase"), state.gone ? "Gone" : "Connecting");
    this.#part("cancel").hidden = state.transport === "done" || this.#job === null;
    this.tick(Date.now());
  }

  /** Shows that the cancel request is on its way. */
  cancelSent(): void {
    this.#trouble = null;
    this.#cancelling(true);
  }

  /** Shows what became of it: what went wrong, or nothing. */
  cancelAnswered(trouble: string | null): void {
    this.#trouble = trouble;
    this.#cancelling(this.#job?.progress.phase === "cancelling");
  }

  /** Moves the clock and the bar. */
  tick(now: number): void {
    if (this.element.dataset.status === "rejected") return;
    const since = { createdAt: new Date(this.#submittedAt).toISOString(), completedAt: null };
    say(this.#part("elapsed"), formatSeconds(elapsedSeconds(this.#job ?? since, now)));
    this.#bar(now);
  }

  #head(status: string, transport: string): void {
    this.element.dataset.status = status;
    this.element.dataset.transport = transport;
    say(this.#part("transport"), transport);
  }

  #snapshot({ job, raw }: Snapshot): void {
    this.#job = job;
    this.#shown = job.version;
    this.element.dataset.phase = job.progress.phase;
    say(this.#part("phase"), phaseWords(job));
    say(this.#part("position"), positionWords(job));
    this.#part("log").textContent = job.progress.logs.at(-1)?.message ?? "";
    const expected = job.progress.expectedSeconds;
    say(this.#part("expected"), isTerminal(job) || expected === null ? null : `of about ${formatSeconds(expected)}`);
    say(this.#part("version"), `v${job.version}`);
    say(this.#part("endpoint"), job.endpointId ?? this.#part("endpoint").textContent);
    this.#created(job.createdAt);
    this.#cancelling(job.progress.phase === "cancelling");
    if (isTerminal(job)) this.#outcome(job, raw);
  }

  #created(createdAt: string): void {
    const time = this.#part("created");
    const date = new Date(createdAt);
    time.setAttribute("datetime", createdAt);
    say(time, Number.isNaN(date.getTime()) ? null : date.toLocaleTimeString());
  }

  #cancelling(on: boolean): void {
    const button = this.#part("cancel");
    if (!(button instanceof HTMLButtonElement)) return;
    button.disabled = on;
    button.textContent = on ? "Cancelling…" : "Cancel";
  }

  #outcome(job: Job, raw: string): void {
    const result = job.result === null || job.result === undefined ? null : rawMember(raw, "result");
    const media = mediaOf(job.result);
    if (this.#part("media").childElementCount === 0) {
      this.#part("media").replaceChildren(...mediaElements(media, this.#prompt));
    }
    this.#part("media").hidden = media.length === 0;
    this.#raw(result, media.length === 0);
    say(this.#part("error"), job.status === "failed" ? (job.error ?? "The job failed; fal gave no reason.") : null);
    const detail = rawMember(raw, "errorDetail");
    this.#detail(job.status !== "failed" || detail === null || detail === "null" ? null : pretty(detail));
    this.#part("problem").hidden = job.status !== "failed";
  }

  #raw(result: string | null, open: boolean): void {
    const details = this.#part("raw");
    say(this.#part("raw-text"), result === null ? null : pretty(result));
    details.hidden = result === null;
    details.toggleAttribute("open", open);
  }

  #detail(text: string | null): void {
    say(this.#part("detail-text"), text);
    this.#part("detail").hidden = text === null;
  }

  #bar(now: number): void {
    const bar = this.#part("progress");
    const percent = this.#percent(now);
    if (percent === null) bar.removeAttribute("aria-valuenow");
    else bar.setAttribute("aria-valuenow", String(Math.round(percent)));
    bar.dataset.known = String(percent !== null);
    this.#part("fill").style.setProperty("--share", String((percent ?? 0) / 100));
  }

  #percent(now: number): number | null {
    const job = this.#job;
    if (job === null) return null;
    if (job.status === "completed") return 100;
    const { startedAt, expectedSeconds } = job.progress;
    const at = job.completedAt === null ? now : Date.parse(job.completedAt);
    const share = fraction(startedAt, expectedSeconds, at);
    if (share === null) return isTerminal(job) ? 0 : null;
    return Math.min(99, share * 100);
  }
}
