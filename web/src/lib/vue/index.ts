/** The public API of `hookcast/vue`. */

export type { MyJobs } from "../live/history.js";
export type { FalJob } from "../live/job.js";
export type { FalJobs } from "../live/jobs.js";
export type { MediaFile } from "../types.js";
export {
  type FalJobOptions,
  type FalJobsOptions,
  type MyJobsOptions,
  useFalJob,
  useFalJobs,
  useMyJobs,
} from "./composables.js";
export { HookcastPlugin, type HookcastPluginOptions, useHookcast } from "./plugin.js";
export type { Refs } from "./watch.js";
