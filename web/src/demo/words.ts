/** The page's texts about a job; pure. */

import { type HookcastError, isTerminal, type Job, type JobStatus, type Phase, type Transport } from "../lib/index.js";
import { copyWords, countWords, filesOf, isCopying } from "./files";
import type { Lag } from "./lag";
import { isActive, isOpen, type Run, type RunStatus, statusOf } from "./runs";

const PHASES: Record<Phase, string> = {
  queued: "Queued",
  running: "Running",
  saving: "Saving the result",
  cancelling: "Cancelling",
  ended: "Ended",
};

const ENDS: Record<Exclude<JobStatus, "pending">, string> = {
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
};

export const TRANSPORTS: Record<Transport, string> = {
  websocket: "WebSocket",
  sse: "SSE",
  "long-poll": "Long-poll",
  poll: "Poll",
  connecting: "connecting",
  paused: "paused",
  closed: "closed",
};

/** Return how the job's states arrive, or did; null if it had ended before the page was connected. */
export function transportWords(run: Run): string | null {
  const { transport } = run.seen;
  return isActive(run) || isOpen(transport) ? TRANSPORTS[transport] : null;
}

export function phaseWords(job: Job): string {
  if (isCopying(job)) return "Copying";
  return job.status === "pending" ? (PHASES[job.progress.phase] ?? "Pending") : ENDS[job.status];
}

export function runWords(run: Run): string {
  if (run.problem !== null) return "Not submitted";
  if (run.requestId === null) return "Submitting";
  return run.seen.job === null ? "Connecting" : phaseWords(run.seen.job);
}

/** Return the place in the queue as a big word and a small one; null if the job has none, or fal did not tell it. */
export function placeWords(job: Job): readonly [big: string, small: string] | null {
  const { phase, queuePosition } = job.progress;
  if (isTerminal(job) || phase !== "queued" || queuePosition === null) return null;
  return queuePosition === 0 ? ["next", "in the queue"] : [String(queuePosition), "before you"];
}

/** Return what stands next to the phase: the place in the queue, or how far the files are copied. */
export function positionWords(job: Job): string | null {
  return placeWords(job)?.join(" ") ?? copyWords(job);
}

/** Return the notice for a pending job whose live updates are interrupted; `transport` is debounced. */
export function noticeWords(transport: Transport): string | null {
  if (transport === "poll") return "Live updates interrupted - checking every 3 s";
  if (transport === "connecting") return "Live updates interrupted - reconnecting. The job continues at fal.";
  return null;
}

const UNMEASURED = {
  late: "The job ended before this page was connected.",
  unknown: "The clocks of server and page could not be compared.",
};

/** Return the lag of the outcome; null unless fal's webhook brought it. */
export function webhookLag({ job, lag }: Run["seen"]): Lag | null {
  return job?.endedBy === "webhook" ? lag : null;
}

/** Return the lag in milliseconds, and its explanation. */
export function lagWords(lag: Lag): readonly [text: string, meaning: string] {
  if (lag.kind !== "measured") return ["—", UNMEASURED[lag.kind]];
  const error = `give or take ${Math.ceil(lag.error)} ms`;
  const meaning = `From fal's webhook arriving at the server to the outcome arriving in this page, ${error}.`;
  return [lag.ms < 1 ? "< 1 ms" : `${Math.round(lag.ms).toLocaleString("en")} ms`, meaning];
}

/** A job's position on the path browser → Hookcast → fal → webhook → browser. */
export type Stage =
  | "idle"
  | "submitting"
  | "queued"
  | "running"
  | "saving"
  | "copying"
  | "cancelling"
  | "done"
  | "failed"
  | "cancelled";

export function stageOf(run: Run | undefined): Stage {
  if (run === undefined || run.problem !== null) return "idle";
  if (run.requestId === null) return "submitting";
  const { job } = run.seen;
  if (job === null) return "idle";
  const { phase } = job.progress;
  if (isCopying(job)) return "copying";
  if (job.status === "pending" && phase !== "ended") return phase;
  return job.status === "pending" || job.status === "completed" ? "done" : job.status;
}

export function captionOf(run: Run | undefined): string {
  const lag = run === undefined ? null : webhookLag(run.seen);
  const fast = lag?.kind === "measured" ? ` ${lagWords(lag)[0]} later` : "";
  const asked = run?.seen.job?.endedBy !== "webhook";
  const captions: Record<Stage, string> = {
    idle: "Generate something and watch it travel.",
    submitting: "The page posts the job to Hookcast.",
    queued: "Hookcast put it in fal's queue, with its own address as the webhook.",
    running: "fal runs the model. Every change reaches this page at once.",
    saving: "fal is done. Its signed webhook is on the way to Hookcast.",
    copying: "fal's webhook has arrived. Hookcast copies the files into its storage.",
    cancelling: "Hookcast asked fal to cancel.",
    done: asked
      ? "No webhook came, so Hookcast asked fal, and cast the result to this page."
      : `The webhook was verified and stored, then cast to this page${fast}.`,
    failed: `The job ended without a result, and this page was notified${fast || " at once"}.`,
    cancelled: "fal cancelled the job, and this page was notified at once.",
  };
  return captions[stageOf(run)];
}

/** Return why a job could not be cancelled; null if it has ended. */
export function cancelTrouble({ code, status }: HookcastError): string | null {
  if (code === "already_terminal") return null;
  if (status === 401 || status === 403) return "This key may not cancel jobs. The job goes on.";
  return "The cancel request did not get through. The job goes on.";
}

/** Return why the input of a job could not be submitted again. */
export function retryTrouble({ code, status }: HookcastError): string {
  if (code === "input_not_kept") return "The server has not kept the input of this job: submit it anew.";
  if (status === 401 || status === 403) return "This key may not submit jobs again.";
  return "The request did not get through. Please try again.";
}

const NEWS: Partial<Record<RunStatus, string>> = {
  pending: "submitted",
  completed: "completed",
  failed: "failed",
  cancelled: "cancelled",
};

/** Return the screen-reader announcement of jobs accepted, copied or ended since `before`, or null. */
export function newsOf(before: readonly Run[], after: readonly Run[]): string | null {
  const news = after.flatMap((run) => {
    const old = before.find(({ id }) => id === run.id);
    if (old === undefined) return [];
    const { job } = run.seen;
    if (job !== null && isCopying(job) && !isCopying(old.seen.job)) {
      return [`Job ${run.number}: copying ${countWords(filesOf(job).length)}.`];
    }
    if (statusOf(old) === statusOf(run)) return [];
    // The failure of a job that this tab submitted is announced by the alert in its card.
    const told = isAlert(run) ? null : NEWS[statusOf(run)];
    return told && statusOf(old) !== "connecting" ? [`Job ${run.number} ${told}.`] : [];
  });
  return news.length > 0 ? news.join(" ") : null;
}

/** Return whether the card of a run without a result is an alert: not if the job came from the server's list. */
export function isAlert(run: Run): boolean {
  return run.submission !== null && ["failed", "rejected"].includes(statusOf(run));
}
