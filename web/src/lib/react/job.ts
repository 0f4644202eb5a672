/** One job in a component. */

import {
  type CompletedJob,
  HookcastError,
  isTerminal,
  type Job,
  type JobStatus,
  type Progress,
  type Transport,
} from "../index.js";
import { useHookcast } from "./provider.js";
import { type Store, useLatest, useOnce, useWatch } from "./watch.js";

export interface FalJobOptions<JobResult = unknown> {
  /** Nothing is watched while there is none. */
  readonly requestId: string | null | undefined;
  /** Milliseconds between two requests where nothing better than polling works; 3000 by default. */
  readonly pollInterval?: number;
  /** Milliseconds after which a job without an outcome is an error, `timeout`; ten minutes by default. */
  readonly maxPollTime?: number;
  /** Whether to go on listening after `maxPollTime`; false by default. */
  readonly keepListening?: boolean;
  /** Nothing is watched while this is false; true by default. */
  readonly enabled?: boolean;
  /** Once for each job. */
  readonly onCompleted?: ((job: CompletedJob<JobResult>) => void) | undefined;
  /** Once for each job that failed or was cancelled. */
  readonly onFailed?: ((job: Job<JobResult>) => void) | undefined;
}

export interface FalJob<JobResult = unknown> {
  /** The newest state, null before the first one. */
  readonly job: Job<JobResult> | null;
  /** `idle` while nothing is watched, `pending` before the first state. */
  readonly status: JobStatus | "idle";
  readonly isPending: boolean;
  /** Whether an outcome is still waited for, whatever the transport. */
  readonly isPolling: boolean;
  readonly isCompleted: boolean;
  /** Whether the job failed or was cancelled. */
  readonly isFailed: boolean;
  /** Why it failed, or what stands in the way: `job_failed`, `job_cancelled`, `timeout`, `unauthorized` … */
  readonly error: HookcastError | null;
  readonly transport: Transport;
  readonly progress: Progress | null;
}

interface Watched<JobResult> {
  readonly job: Job<JobResult> | null;
  readonly error: HookcastError | null;
  readonly transport: Transport;
  /** What is shown from `maxPollTime` on, while there is no outcome. */
  readonly timedOut: HookcastError | null;
  /** When the first watch began; a later one of the same job has what is left of the time. */
  readonly since: number;
}

/** The longest time that a timer can wait. */
const MAX_MS = 2 ** 31 - 1;
const INITIAL = { job: null, error: null, transport: "connecting", timedOut: null, since: 0 } as const;

export function useFalJob<JobResult = unknown>(options: FalJobOptions<JobResult>): FalJob<JobResult> {
  const { requestId, pollInterval = 3_000, maxPollTime = 600_000, enabled = true, keepListening = false } = options;
  const client = useHookcast();
  const latest = useLatest(options);
  const once = useOnce();
  const active = enabled && !!requestId;
  const start = ({ get, set }: Store<Watched<JobResult>>) => {
    const { job, since } = get();
    if (!requestId || (job !== null && isTerminal(job))) return () => {};
    const began = enabled ? since || Date.now() : 0;
    set({ since: began, timedOut: null });
    if (!enabled) return () => {};
    const stop = client.watch<JobResult>(requestId, {
      pollInterval,
      onTransport: (transport) => set({ transport }),
      onError: (error) => set({ error }),
      onUpdate: (job) => set({ job, error: failure(job) }),
      onCompleted: (job) => once(job) && latest.current.onCompleted?.(job),
      onFailed: (job) => once(job) && latest.current.onFailed?.(job),
    });
    const expire = () => {
      if (!keepListening) stop();
      set({ timedOut: timeout(maxPollTime) });
    };
    const timer = setTimeout(expire, Math.min(MAX_MS, began + maxPollTime - Date.now()));
    return () => {
      clearTimeout(timer);
      stop();
    };
  };
  const keys = [enabled, pollInterval, maxPollTime, keepListening];
  const watched = useWatch<Watched<JobResult>>(INITIAL, requestId ? start : null, [client, requestId], keys);
  return view(watched, active, keepListening);
}

function view<JobResult>(watched: Watched<JobResult>, active: boolean, keepListening: boolean): FalJob<JobResult> {
  const { job, error, transport, timedOut } = watched;
  const status = job?.status ?? (active ? "pending" : "idle");
  const isPending = status === "pending";
  return {
    job,
    status,
    isPending,
    isPolling: isPending && active && (keepListening || !timedOut),
    isCompleted: status === "completed",
    isFailed: status === "failed" || status === "cancelled",
    error: (isPending && timedOut) || error,
    transport,
    progress: job?.progress ?? null,
  };
}

function failure({ status, error, errorDetail }: Job): HookcastError | null {
  if (status !== "failed" && status !== "cancelled") return null;
  return new HookcastError(`job_${status}`, error ?? `The job was ${status}.`, 0, errorDetail);
}

function timeout(ms: number): HookcastError {
  return new HookcastError("timeout", `The job had no outcome within ${ms / 1000} s.`);
}
