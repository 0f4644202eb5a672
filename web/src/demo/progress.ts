/** Progress: of the model estimated from elapsed time, since fal reports no percentage; of copies, what is copied. */

import { isTerminal, type Job } from "../lib/index.js";
import { copiedShare, filesOf, isCopying } from "./files";

/** The share shown when the expected time has elapsed, and the maximum before completion. */
const AT_EXPECTED = 0.8;
const CEILING = 0.98;

/** Return the estimated share of the work done at `now`, always below 1; null while it is unknown. */
export function fraction(startedAt: string | null, expectedSeconds: number | null, now: number): number | null {
  if (startedAt === null || expectedSeconds === null || expectedSeconds <= 0) return null;
  const started = Date.parse(startedAt);
  if (Number.isNaN(started)) return null;
  const share = Math.max(0, now - started) / 1000 / expectedSeconds;
  if (share <= 1) return share * AT_EXPECTED;
  const room = CEILING - AT_EXPECTED;
  return AT_EXPECTED + room * (1 - Math.exp((-(share - 1) * AT_EXPECTED) / room));
}

/** Return the progress in percent, 0 to 100; null while it is unknown. */
export function percentOf(job: Job, now: number): number | null {
  if (job.status === "completed") return 100;
  if (isCopying(job)) {
    const copied = copiedShare(filesOf(job));
    return copied === null ? null : Math.min(99, copied * 100);
  }
  const { startedAt, expectedSeconds } = job.progress;
  const at = job.completedAt === null ? now : Date.parse(job.completedAt);
  const share = fraction(startedAt, expectedSeconds, at);
  if (share === null) return isTerminal(job) ? 0 : null;
  return Math.min(99, share * 100);
}

/** Return the seconds from the job's creation to its end, or to `now` if it has not ended. */
export function elapsedSeconds(job: Pick<Job, "createdAt" | "completedAt">, now: number): number {
  const start = Date.parse(job.createdAt);
  const end = job.completedAt === null ? now : Date.parse(job.completedAt);
  const seconds = (end - start) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : 0;
}

/** Format seconds: `75.4` as `1:15`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  return `${minutes}:${String(whole % 60).padStart(2, "0")}`;
}
