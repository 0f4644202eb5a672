/** A group of jobs in a component. */

import type { CompletedJob, HookcastError, Job, Transport } from "../index.js";
import { useHookcast } from "./provider.js";
import { type Store, useLatest, useOnce, useWatch } from "./watch.js";

export interface FalJobsOptions<JobResult = unknown> {
  readonly pollInterval?: number;
  /** Nothing is watched while this is false; true by default. */
  readonly enabled?: boolean;
  /** Once for each job. */
  readonly onCompleted?: ((job: CompletedJob<JobResult>) => void) | undefined;
  /** Once for each job that failed or was cancelled. */
  readonly onFailed?: ((job: Job<JobResult>) => void) | undefined;
}

export interface FalJobs<JobResult = unknown> {
  /** Newest first. */
  readonly jobs: readonly Job<JobResult>[];
  readonly error: HookcastError | null;
  readonly transport: Transport;
}

const INITIAL = { jobs: [], error: null, transport: "connecting" } as const;

/** The jobs of a group, those to come, too; none while there is no group. */
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
      onTransport: (transport) => set({ transport }),
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
