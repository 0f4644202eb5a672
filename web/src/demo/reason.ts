/** Why a job has no result, and what to do about it; pure. */

import { type Run, statusOf } from "./runs";
import { again } from "./submission";

export interface Reason {
  /** Null if nothing went wrong: the job was cancelled. */
  readonly sentence: string | null;
  readonly advice: string;
  /** `retry`: send the same request; `again`: make a new job of the same prompt or, if it is unknown,
   * of the input that the server has kept; null if neither is of use. */
  readonly way: "retry" | "again" | null;
}

/** Return whether the job has ended without a result, or was not submitted. */
export function isWithoutResult(run: Run): boolean {
  return ["rejected", "failed", "cancelled"].includes(statusOf(run));
}

/** Return the reason of a run that is without a result. */
export function reasonOf({ problem, seen: { job } }: Run): Reason {
  if (problem !== null) {
    const { sentence, advice, code, retryable } = problem;
    return { sentence, advice: `${advice} (${code})`, way: retryable ? "retry" : null };
  }
  const way = "again";
  if (job?.status === "cancelled") return { sentence: null, advice: "The job was cancelled.", way };
  const source = job !== null && again(job) !== null ? "prompt" : "input";
  const advice = `A failed job does not continue. Generate again makes a new one of the same ${source}.`;
  return { sentence: job?.error ?? "The job failed; fal gave no reason.", advice, way };
}
