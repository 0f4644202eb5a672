/** The functions for components: each carries out a plan of `live/`. */

import type { MyJobs, MyJobsOptions } from "../live/history.js";
import { type FalJob, type FalJobOptions, planJob } from "../live/job.js";
import { type FalJobs, type FalJobsOptions, planJobs } from "../live/jobs.js";
import { planMyJobs } from "../live/my-jobs.js";
import { reportTo } from "../live/plan.js";
import { useHookcast } from "./context.js";
import { useWatch } from "./watch.svelte.js";

/**
 * Watch a job. `options` is called again when the state that it reads changes. Do not destructure what is returned: its
 * members change. Throws an Error without a `setHookcast` above, as do the others.
 */
export function useFalJob<JobResult = unknown>(options: () => FalJobOptions<JobResult>): FalJob<JobResult> {
  const [client, report] = [useHookcast(), reportTo(options)];
  return useWatch(() => planJob(client, options(), report));
}

/** Watch all jobs of a group, future ones included; none while `group` returns null. */
export function useFalJobs<JobResult = unknown>(
  group: () => string | null | undefined,
  options: () => FalJobsOptions<JobResult> = () => ({}),
): FalJobs<JobResult> {
  const [client, report] = [useHookcast(), reportTo(options)];
  return useWatch(() => planJobs(client, group(), options(), report));
}

/** Watch the jobs of the signed-in user: pages of the history and live changes in one list. */
export function useMyJobs<JobResult = unknown>(
  options: () => MyJobsOptions<JobResult> = () => ({}),
): MyJobs<JobResult> {
  const [client, report] = [useHookcast(), reportTo(options)];
  return useWatch(() => planMyJobs(client, options(), report));
}
