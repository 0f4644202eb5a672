/** The composables: each carries out a plan of `live/`. */

import { type MaybeRefOrGetter, toValue } from "vue";
import type { MyJobsOptions as MineOptions, MyJobs } from "../live/history.js";
import { type FalJob, type FalJobOptions as JobOptions, planJob } from "../live/job.js";
import { type FalJobs, type FalJobsOptions as JobsOptions, planJobs } from "../live/jobs.js";
import { planMyJobs } from "../live/my-jobs.js";
import { reportTo } from "../live/plan.js";
import { useHookcast } from "./plugin.js";
import { type Reactive, type Refs, useWatch, valuesOf } from "./watch.js";

/** Options of `useFalJob`; each but the callbacks may be a ref or a getter. */
export type FalJobOptions<JobResult = unknown> = Reactive<JobOptions<JobResult>>;
/** Options of `useFalJobs`; each but the callbacks may be a ref or a getter. */
export type FalJobsOptions<JobResult = unknown> = Reactive<JobsOptions<JobResult>>;
/** Options of `useMyJobs`; each but the callbacks may be a ref or a getter. */
export type MyJobsOptions<JobResult = unknown> = Reactive<MineOptions<JobResult>>;

/** Watch a job. Throws an Error in an app without `HookcastPlugin`, as do the others. */
export function useFalJob<JobResult = unknown>(options: FalJobOptions<JobResult>): Refs<FalJob<JobResult>> {
  const [client, report] = [useHookcast(), reportTo(() => options)];
  return useWatch(() => planJob<JobResult>(client, valuesOf(options), report));
}

/** Watch all jobs of a group, future ones included; none while `group` is null. */
export function useFalJobs<JobResult = unknown>(
  group: MaybeRefOrGetter<string | null | undefined>,
  options: FalJobsOptions<JobResult> = {},
): Refs<FalJobs<JobResult>> {
  const [client, report] = [useHookcast(), reportTo(() => options)];
  return useWatch(() => planJobs<JobResult>(client, toValue(group), valuesOf(options), report));
}

/** Watch the jobs of the signed-in user: pages of the history and live changes in one list. */
export function useMyJobs<JobResult = unknown>(options: MyJobsOptions<JobResult> = {}): Refs<MyJobs<JobResult>> {
  const [client, report] = [useHookcast(), reportTo(() => options)];
  return useWatch(() => planMyJobs<JobResult>(client, valuesOf(options), report));
}
