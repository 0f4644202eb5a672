"use client";

/** The public API of `hookcast/react`. */

export type { FalJob, FalJobOptions } from "../live/job.js";
export type { FalJobs, FalJobsOptions } from "../live/jobs.js";
export type { MediaFile } from "../types.js";
export { useFalJob, useFalJobs } from "./hooks.js";
export { HookcastProvider, type HookcastProviderProps, useHookcast } from "./provider.js";
