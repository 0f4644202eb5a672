/** The page's texts about a job; pure. */

import { isTerminal, type Job, type JobStatus, type Phase, type Transport } from "../lib/index.js";
import { copyWords, countWords, filesOf, isCopying } from "./files";
import type { Lag } from "./lag";
import { type Run, type RunStatus, statusOf } from "./runs";

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

export function phaseWords(job: Job): string {
  if (isCopying(job)) return "Copying";
  return job.status === "pending" ? (PHASES[job.progress.phase] ?? "Pending") : ENDS[job.status];
}

export function runWords(run: Run): string {
  if (run.problem !== null) return "Not submitted";
  if (run.requestId === null) return "Submitting";
  return run.seen.job === null ? "Connecting" : phaseWords(run.seen.job);
}

/** Return what stands next to the phase: the place in the queue, or how far the files are copied. */
export function positionWords(job: Job): string | null {
  const { phase, queuePosition } = job.progress;
  if (isTerminal(job) || phase !== "queued" || queuePosition === null) return copyWords(job);
  return queuePosition === 0 ? "next in the queue" : `position ${queuePosition} in the queue`;
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

/** Return the lag in milliseconds, and its explanation. */
export function lagWords(lag: Lag): readonly [text: string, meaning: string] {
  if (lag.kind !== "measured") return ["—", UNMEASURED[lag.kind]];
  const error = `give or take ${Math.ceil(lag.error)} ms`;
  const meaning = `From the moment the server recorded the outcome to its arrival in this page, ${error}.`;
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
  | "failed";

export function stageOf(run: Run | undefined): Stage {
  if (run === undefined || run.problem !== null) return "idle";
  if (run.requestId === null) return "submitting";
  const { job } = run.seen;
  if (job === null) return "idle";
  const { phase } = job.progress;
  if (isCopying(job)) return "copying";
  if (job.status === "pending" && phase !== "ended") return phase;
  return job.status === "completed" ? "done" : "failed";
}

export function captionOf(stage: Stage, lag: Lag | null): string {
  const fast = lag?.kind === "measured" ? ` ${lagWords(lag)[0]} later` : "";
  const captions: Record<Stage, string> = {
    idle: "Generate something and watch it travel.",
    submitting: "The page posts the job to Hookcast.",
    queued: "Hookcast put it in fal's queue, with its own address as the webhook.",
    running: "fal runs the model. Every change reaches this page at once.",
    saving: "fal is done. Its signed webhook is on the way to Hookcast.",
    copying: "fal's webhook has arrived. Hookcast copies the files into its storage.",
    cancelling: "Hookcast asked fal to cancel.",
    done: `The webhook was verified and stored, then cast to this page${fast}.`,
    failed: `The job ended without a result, and this page was notified${fast || " at once"}.`,
  };
  return captions[stage];
}

const NEWS: Partial<Record<RunStatus, string>> = {
  pending: "submitted",
  completed: "completed",
  cancelled: "cancelled",
};

/** Return the screen-reader announcement of jobs accepted, copied, completed or cancelled since `before`, or null. */
export function newsOf(before: readonly Run[], after: readonly Run[]): string | null {
  const news = after.flatMap((run) => {
    const old = before.find(({ id }) => id === run.id);
    if (old === undefined) return [];
    const { job } = run.seen;
    if (job !== null && isCopying(job) && !isCopying(old.seen.job)) {
      return [`Job ${run.number}: copying ${countWords(filesOf(job).length)}.`];
    }
    if (statusOf(old) === statusOf(run)) return [];
    // Failures are announced by the alert in their card.
    const told = NEWS[statusOf(run)];
    return told && statusOf(old) !== "connecting" ? [`Job ${run.number} ${told}.`] : [];
  });
  return news.length > 0 ? news.join(" ") : null;
}

/** Return the curl command that streams `path`. Single quotes are safe: the path is percent-encoded. */
export function curlLine(origin: string, path: string, withKey: boolean): string {
  const header = withKey ? ` -H "Authorization: Bearer $KEY"` : "";
  return `curl -N${header} '${origin}${path.replaceAll("'", "%27")}'`;
}
