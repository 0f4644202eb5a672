"use client";

/** The public API of `hookcast/react`. */

export type { MediaFile } from "../types.js";
export { type FalJob, type FalJobOptions, useFalJob } from "./job.js";
export { type FalJobs, type FalJobsOptions, useFalJobs } from "./jobs.js";
export { HookcastProvider, type HookcastProviderProps, useHookcast } from "./provider.js";
