/** The hooks: each carries out a plan of `live/`. */

import { type FalJob, type FalJobOptions, planJob } from "../live/job.js";
import { type FalJobs, type FalJobsOptions, planJobs } from "../live/jobs.js";
import { useHookcast } from "./provider.js";
import { useReport, useWatch } from "./watch.js";

/** Watch a job. Throws an Error outside a `HookcastProvider`. */
export function useFalJob<JobResult = unknown>(options: FalJobOptions<JobResult>): FalJob<JobResult> {
  return useWatch(planJob(useHookcast(), options, useReport(options)));
}

/** Watch all jobs of a group, future ones included; none while `group` is null. Throws outside a `HookcastProvider`. */
export function useFalJobs<JobResult = unknown>(
  group: string | null | undefined,
  options: FalJobsOptions<JobResult> = {},
): FalJobs<JobResult> {
  return useWatch(planJobs(useHookcast(), group, options, useReport(options)));
}
