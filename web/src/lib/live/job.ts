/** One job in a component. */

import { failureOf } from "../failure.js";
import {
  type Hookcast,
  HookcastError,
  isTerminal,
  type Job,
  type JobStatus,
  type Progress,
  type RetryOptions,
  type Submitted,
  type Transport,
} from "../index.js";
import { countDown, type Waited } from "../patience.js";
import { type Callbacks, handlersOf, type Plan, type Report, type Store } from "./plan.js";

/** Options of `useFalJob`. */
export interface FalJobOptions<JobResult = unknown> extends Callbacks<JobResult> {
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
   * A state of the job that is known already, such as the one that a server rendered: shown from the first render on,
   * until a newer one arrives. Ignored if it is of another job.
   */
  readonly initialJob?: Job<JobResult> | null | undefined;
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
  /** Ask fal to cancel the job, and return its state. Rejects with HookcastError, such as `already_terminal`. */
  readonly cancel: () => Promise<Job<JobResult>>;
  /**
   * Submit the input of the ended job again, where the server keeps inputs. Resolves with the new job: watch it by its
   * `requestId`. Rejects with HookcastError, such as `not_terminal` and `input_not_kept`.
   */
  readonly retry: (options?: RetryOptions) => Promise<Submitted<JobResult>>;
}

interface Watched<JobResult> extends Pick<FalJob<JobResult>, "cancel" | "retry"> {
  readonly job: Job<JobResult> | null;
  readonly error: HookcastError | null;
  readonly transport: Transport;
  /** The error shown from `maxPollTime` on, until there is an outcome. */
  readonly timedOut: HookcastError | null;
  /** How much of `maxPollTime` has passed. A later watch of the same job has the rest. */
  readonly waited: Waited;
}

/** Return how a component watches a job. */
export function planJob<JobResult>(
  client: Hookcast,
  options: FalJobOptions<JobResult>,
  report: Report,
): Plan<Watched<JobResult>, FalJob<JobResult>> {
  const { requestId, pollInterval, maxPollTime = 600_000, enabled = true, keepListening } = options;
  const start = (store: Store<Watched<JobResult>>) => {
    const { job, waited } = store.get();
    if (job && isTerminal(job)) {
      if (enabled) report(job);
    } else {
      store.set({ timedOut: null });
      if (enabled) return follow(client, options, maxPollTime, store, report);
      waited.ms = 0;
    }
    return () => {};
  };
  return {
    initial: () => begin(client, options),
    key: [client, requestId],
    start: requestId ? start : null,
    restart: [enabled, pollInterval, maxPollTime, keepListening],
    view: (watched) => view(watched, enabled && !!requestId, keepListening),
  };
}

function begin<JobResult>(client: Hookcast, { requestId, initialJob }: FalJobOptions<JobResult>): Watched<JobResult> {
  const job = (initialJob?.requestId === requestId && initialJob) || null;
  return {
    cancel: () => client.cancel(requestId as string),
    retry: (options) => client.retry(requestId as string, options),
    job,
    error: job && failureOf(job, HookcastError),
    transport: "connecting",
    timedOut: null,
    waited: { ms: 0 },
  };
}

/** Watch a job until it has ended or `maxPollTime` has passed. Returns the function that ends the watch. */
function follow<JobResult>(
  client: Hookcast,
  { requestId, pollInterval, keepListening }: FalJobOptions<JobResult>,
  maxPollTime: number,
  store: Store<Watched<JobResult>>,
  report: Report,
): () => void {
  const { get, set } = store;
  const id = requestId as string;
  const over = new AbortController();
  const stop = client.watch<JobResult>(id, {
    ...handlersOf(store, report, pollInterval),
    onUpdate: (job) => {
      if (job.version > (get().job?.version ?? 0)) set({ job, error: failureOf(job, HookcastError) });
    },
  });
  const expire = async () => {
    // The answer reaches the watch.
    await client.get(id, over).catch(() => {});
    if (over.signal.aborted) return;
    if (!keepListening) stop();
    set({ timedOut: timeout(maxPollTime) });
  };
  const pause = countDown(get().waited, maxPollTime, expire);
  return () => {
    over.abort();
    pause();
    stop();
  };
}

function view<JobResult>(
  { timedOut, waited: _, ...shown }: Watched<JobResult>,
  active: boolean,
  keepListening: boolean | undefined,
): FalJob<JobResult> {
  const { job, error } = shown;
  const status = job?.status ?? (active ? "pending" : "idle");
  const isPending = status === "pending";
  return {
    ...shown,
    status,
    isPending,
    isPolling: isPending && active && (keepListening || !timedOut),
    isCompleted: status === "completed",
    isFailed: status === "failed" || status === "cancelled",
    error: (isPending && timedOut) || error,
    progress: job?.progress ?? null,
  };
}

function timeout(ms: number): HookcastError {
  return new HookcastError("timeout", `The job had no outcome within ${ms / 1000} s.`);
}
