"use client";

/** The public API of `hookcast/react/my-jobs`. */

import type { MyJobs, MyJobsOptions } from "../live/history.js";
import { planMyJobs } from "../live/my-jobs.js";
import { useHookcast } from "./provider.js";
import { useReport, useWatch } from "./watch.js";

export type { MyJobs, MyJobsOptions };

/**
 * Watch the jobs of the signed-in user: pages of the history and live changes in one list. Throws an Error outside a
 * `HookcastProvider`.
 */
export function useMyJobs<JobResult = unknown>(options: MyJobsOptions<JobResult> = {}): MyJobs<JobResult> {
  return useWatch(planMyJobs(useHookcast(), options, useReport(options)));
}
