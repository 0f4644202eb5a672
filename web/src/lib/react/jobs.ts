/** `useFalJobs`: a group of jobs in a component. */

import type { CompletedJob, HookcastError, Job, Transport } from "../index.js";
import { useHookcast } from "./provider.js";
import { connected, type Store, useLatest, useOnce, useWatch } from "./watch.js";

/** Options of `useFalJobs`. */
export interface FalJobsOptions<JobResult = unknown> {
  /** Milliseconds between polls where no better transport works; 3000 by default. */
  readonly pollInterval?: number;
  /** Whether to watch; true by default. */
  readonly enabled?: boolean;
  /** Called when a job has completed, also if it had before: once per job by each mounted component. */
  readonly onCompleted?: ((job: CompletedJob<JobResult>) => void) | undefined;
  /** Called in the same way when a job has failed or was cancelled. */
  readonly onFailed?: ((job: Job<JobResult>) => void) | undefined;
}

/** What `useFalJobs` returns. */
export interface FalJobs<JobResult = unknown> {
  /** The newest state of each job, newest job first. */
  readonly jobs: readonly Job<JobResult>[];
  /** What blocks the states: `not_visible`, `unauthorized`, `unreachable` …; null once it is connected. */
  readonly error: HookcastError | null;
  /** How states arrive right now. */
  readonly transport: Transport;
}

const INITIAL = { jobs: [], error: null, transport: "connecting" } as const;

/** Watch all jobs of a group, future ones included; none while `group` is null. Throws outside a `HookcastProvider`. */
export function useFalJobs<JobResult = unknown>(
  group: string | null | undefined,
  options: FalJobsOptions<JobResult> = {},
): FalJobs<JobResult> {
  const { enabled = true, pollInterval = 3_000 } = options;
  const client = useHookcast();
  const latest = useLatest(options);
  const once = useOnce();
  const start = ({ get, set }: Store<FalJobs<JobResult>>) =>
    client.watchGroup<JobResult>(group ?? "", {
      pollInterval,
      onTransport: (transport) => set(connected(get(), transport)),
      onError: (error) => set({ error }),
      onUpdate: (job) => set({ jobs: merged(get().jobs, job), error: null }),
      onCompleted: (job) => once(job) && latest.current.onCompleted?.(job),
      onFailed: (job) => once(job) && latest.current.onFailed?.(job),
    });
  return useWatch<FalJobs<JobResult>>(INITIAL, enabled && group ? start : null, [client, group], [pollInterval]);
}

function merged<JobResult>(jobs: readonly Job<JobResult>[], job: Job<JobResult>): readonly Job<JobResult>[] {
  const others = jobs.filter(({ requestId }) => requestId !== job.requestId);
  return [job, ...others].sort((a, b) => (a.createdAt + a.requestId < b.createdAt + b.requestId ? 1 : -1));
}
