/** The public API of `hookcast`. */

export { createHookcast, type Hookcast } from "./client.js";
export { HookcastError } from "./errors.js";
export type {
  CallOptions,
  CompletedJob,
  EndedBy,
  HookcastOptions,
  Job,
  JobFilter,
  JobPage,
  JobStatus,
  JsonObject,
  LogLine,
  MediaFile,
  Phase,
  Progress,
  RetryOptions,
  Submission,
  SubmitOptions,
  Submitted,
  Token,
  TokenRequest,
  Transport,
  TransportName,
  WaitOptions,
  WatchMineOptions,
  WatchOptions,
} from "./types.js";
export { isTerminal, rawJson } from "./wire.js";
