/** The public API of `hookcast/svelte`. */

export type { MyJobs, MyJobsOptions } from "../live/history.js";
export type { FalJob, FalJobOptions } from "../live/job.js";
export type { FalJobs, FalJobsOptions } from "../live/jobs.js";
export type { MediaFile } from "../types.js";
export { setHookcast, useHookcast } from "./context.js";
export { useFalJob, useFalJobs, useMyJobs } from "./hooks.js";
