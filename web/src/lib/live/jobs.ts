/** A group of jobs in a component. */

import type { Hookcast, HookcastError, Job, Transport } from "../index.js";
import { type Callbacks, handlersOf, merged, type Plan, type Report, type Store } from "./plan.js";

/** Options of `useFalJobs`. */
export interface FalJobsOptions<JobResult = unknown> extends Callbacks<JobResult> {
  /** Milliseconds between polls where no better transport works; 3000 by default. */
  readonly pollInterval?: number;
  /** Whether to watch; true by default. */
  readonly enabled?: boolean;
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

/** Return how a component watches the jobs of a group; none while `group` is null. */
export function planJobs<JobResult>(
  client: Hookcast,
  group: string | null | undefined,
  { enabled = true, pollInterval }: FalJobsOptions<JobResult>,
  report: Report,
): Plan<FalJobs<JobResult>, FalJobs<JobResult>> {
  const start = (store: Store<FalJobs<JobResult>>) =>
    client.watchGroup<JobResult>(group ?? "", {
      ...handlersOf(store, report, pollInterval),
      onUpdate: (job) => store.set({ jobs: merged(store.get().jobs, job), error: null }),
    });
  return {
    initial: () => ({ jobs: [], error: null, transport: "connecting" }),
    key: [client, group],
    start: enabled && group ? start : null,
    restart: [pollInterval],
    view: (jobs) => jobs,
  };
}
