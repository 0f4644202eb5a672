/** What the page says about a state; pure. */

import { isTerminal, type Job, type JobStatus, type Phase } from "./job";
import type { WatchState } from "./watch";

const PHASES: Record<Phase, string> = {
  queued: "Queued",
  running: "Running",
  saving: "Saving the result",
  cancelling: "Cancelling",
};

const ENDS: Record<Exclude<JobStatus, "pending">, string> = {
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
};

export function phaseWords(job: Job): string {
  return job.status === "pending" ? (PHASES[job.progress.phase] ?? "Pending") : ENDS[job.status];
}

export function positionWords(job: Job): string | null {
  const { phase, queuePosition } = job.progress;
  if (isTerminal(job) || phase !== "queued" || queuePosition === null) return null;
  return queuePosition === 0 ? "next in the queue" : `position ${queuePosition} in the queue`;
}

export function noticeWords(state: WatchState): string | null {
  if (state.gone) return "The server does not know this job any more.";
  if (state.transport !== "polling") return null;
  const silence = state.unreachable ? ". The server does not answer either." : "";
  if (state.reason === "busy") return `Waiting for a free live connection - checking every 3 s${silence}`;
  return `Live updates interrupted - checking every 3 s${silence}`;
}

/** Where a job is on the way browser → Hookcast → fal → webhook → browser. */
export type Stage = "idle" | "submitting" | "queued" | "running" | "saving" | "cancelling" | "done" | "failed";

export function stageOf(job: Job): Stage {
  if (job.status === "pending") return job.progress.phase;
  return job.status === "completed" ? "done" : "failed";
}

const CAPTIONS: Record<Stage, string> = {
  idle: "Generate something and watch it travel.",
  submitting: "The page posts the job to Hookcast.",
  queued: "Hookcast put it in fal's queue, with its own address as the webhook.",
  running: "fal runs the model. Every change reaches this page over its event stream.",
  saving: "fal is done. Its signed webhook is on the way to Hookcast.",
  cancelling: "Hookcast asked fal to cancel.",
  done: "The webhook was verified and stored, then cast to this page.",
  failed: "The job ended without a result, and the page heard of it at once.",
};

export function captionOf(stage: Stage): string {
  return CAPTIONS[stage];
}

/** The command that follows `path` from a terminal. Single quotes are safe: the path is percent-encoded. */
export function curlLine(origin: string, path: string): string {
  return `curl -N '${origin}${path.replaceAll("'", "%27")}'`;
}
