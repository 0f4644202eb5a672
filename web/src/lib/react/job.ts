/** `useFalJob`: one job in a component. */

import { useMemo } from "react";
import {
  type CompletedJob,
  type Hookcast,
  HookcastError,
  isTerminal,
  type Job,
  type JobStatus,
  type Progress,
  type Transport,
} from "../index.js";
import { countDown, type Waited } from "../patience.js";
import { useHookcast } from "./provider.js";
import { connected, type Store, useLatest, useOnce, useWatch } from "./watch.js";

/** Options of `useFalJob`. */
export interface FalJobOptions<JobResult = unknown> {
  /** The job to watch; nothing is watched while it is null or undefined. */
  readonly requestId: string | null | undefined;
  /** Milliseconds between polls where no better transport works; 3000 by default. */
  readonly pollInterval?: number;
  /**
   * Milliseconds to wait for an outcome; then the server is asked once more, and `error.code` is `timeout`. 600000 (ten
   * minutes) by default. Time during which the machine sleeps, or the browser stops the page's timers, does not count.
   */
  readonly maxPollTime?: number;
  /** Whether to keep watching after `maxPollTime`; false by default. */
  readonly keepListening?: boolean;
  /** Whether to watch; true by default. Enabling it again restarts `maxPollTime`. */
  readonly enabled?: boolean;
  /**
   * Called when the job has completed, also if it had before: once per job by each mounted component, and never after
   * it unmounts. A component that mounts again calls it again.
   */
  readonly onCompleted?: ((job: CompletedJob<JobResult>) => void) | undefined;
  /** Called in the same way when the job has failed or was cancelled. */
  readonly onFailed?: ((job: Job<JobResult>) => void) | undefined;
}

/** What `useFalJob` returns. */
export interface FalJob<JobResult = unknown> {
  /** The newest state, null until the first one arrives. */
  readonly job: Job<JobResult> | null;
  /** The job's status: `pending` before the first state, `idle` if there is no state and nothing is watched. */
  readonly status: JobStatus | "idle";
  readonly isPending: boolean;
  /** Whether the hook is waiting for an outcome, whatever the transport. */
  readonly isPolling: boolean;
  readonly isCompleted: boolean;
  /** Whether the job failed or was cancelled. */
  readonly isFailed: boolean;
  /**
   * Why the job failed, or what blocks its states: `job_failed`, `job_cancelled`, `timeout`, `origin_not_allowed`,
   * `unreachable` … Null once it is connected.
   */
  readonly error: HookcastError | null;
  /** How states arrive right now. */
  readonly transport: Transport;
  /** The progress of the newest state, null before the first one. */
  readonly progress: Progress | null;
}

interface Watched<JobResult> {
  readonly job: Job<JobResult> | null;
  readonly error: HookcastError | null;
  readonly transport: Transport;
  /** The error shown from `maxPollTime` on, until there is an outcome. */
  readonly timedOut: HookcastError | null;
}

const INITIAL = { job: null, error: null, transport: "connecting", timedOut: null } as const;

/** Watch a job. Throws an Error outside a `HookcastProvider`. */
export function useFalJob<JobResult = unknown>(options: FalJobOptions<JobResult>): FalJob<JobResult> {
  const { requestId, pollInterval = 3_000, maxPollTime = 600_000, enabled = true, keepListening = false } = options;
  const client = useHookcast();
  const latest = useLatest(options);
  const once = useOnce();
  // A later watch of the same job has the rest of `maxPollTime`.
  // biome-ignore lint/correctness/useExhaustiveDependencies: another job or client starts from 0
  const waited = useMemo<Waited>(() => ({ ms: 0 }), [client, requestId]);
  const active = enabled && !!requestId;
  const start = (store: Store<Watched<JobResult>>) => {
    const { job } = store.get();
    if (!requestId || (job !== null && isTerminal(job))) return () => {};
    store.set({ timedOut: null });
    if (enabled)
      return follow<JobResult>(client, requestId, { pollInterval, maxPollTime, keepListening }, waited, {
        ...store,
        onCompleted: (job) => once(job) && latest.current.onCompleted?.(job),
        onFailed: (job) => once(job) && latest.current.onFailed?.(job),
      });
    waited.ms = 0;
    return () => {};
  };
  const keys = [enabled, pollInterval, maxPollTime, keepListening];
  const watched = useWatch<Watched<JobResult>>(INITIAL, requestId ? start : null, [client, requestId], keys);
  return view(watched, active, keepListening);
}

type Limits = Required<Pick<FalJobOptions, "pollInterval" | "maxPollTime" | "keepListening">>;
type Told<JobResult> = Store<Watched<JobResult>> & Pick<FalJobOptions<JobResult>, "onCompleted" | "onFailed">;

/** Watch a job until it has ended or `maxPollTime` has passed. Returns the function that ends the watch. */
function follow<JobResult>(
  client: Hookcast,
  requestId: string,
  { pollInterval, maxPollTime, keepListening }: Limits,
  waited: Waited,
  { get, set, ...callbacks }: Told<JobResult>,
): () => void {
  const over = new AbortController();
  const stop = client.watch<JobResult>(requestId, {
    ...callbacks,
    pollInterval,
    onTransport: (transport) => set(connected(get(), transport)),
    onError: (error) => set({ error }),
    onUpdate: (job) => set({ job, error: failure(job) }),
  });
  const expire = async () => {
    // The answer reaches the watch.
    await client.get(requestId, over).catch(() => {});
    if (over.signal.aborted) return;
    if (!keepListening) stop();
    set({ timedOut: timeout(maxPollTime) });
  };
  const pause = countDown(waited, maxPollTime, expire);
  return () => {
    over.abort();
    pause();
    stop();
  };
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
