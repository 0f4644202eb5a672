/** Why a job has no result. It imports only types, because code that is loaded on demand uses it. */

import type { HookcastError } from "./errors.js";
import type { Job } from "./types.js";

/** Return the error of a job that failed or was cancelled, null for the others. */
export function failureOf(job: Job, Failure: typeof HookcastError): HookcastError | null {
  const { status, error, errorDetail } = job;
  if (status !== "failed" && status !== "cancelled") return null;
  return new Failure(`job_${status}`, error ?? `The job was ${status}.`, 0, errorDetail);
}
