/** What all bindings share: how a component watches, whatever its framework. */

import type { CompletedJob, HookcastError, Job, Transport } from "../index.js";

/** The snapshot of a component. */
export interface Store<T> {
  readonly get: () => T;
  readonly set: (change: Partial<T>) => void;
}

/** How a component watches something, by its present options. A binding carries it out. */
export interface Plan<T, View> {
  /** Return the snapshot to begin with. It is reset when one of `key` changes. */
  readonly initial: () => T;
  readonly key: readonly unknown[];
  /**
   * Begin the watch that updates the snapshot, once the component is mounted, and return the function that ends it; null:
   * nothing is watched. It is begun anew when one of `key` or `restart` changes.
   */
  readonly start: ((store: Store<T>) => () => void) | null;
  readonly restart: readonly unknown[];
  /** Return what the component is shown. */
  readonly view: (snapshot: T) => View;
}

/** The callbacks that a component passes. */
export interface Callbacks<JobResult = unknown> {
  /**
   * Called when a job has completed, also if it had before: once per job by each mounted component, and never after it
   * unmounts. A component that mounts again calls it again.
   */
  readonly onCompleted?: ((job: CompletedJob<JobResult>) => void) | undefined;
  /** Called in the same way when a job has failed or was cancelled. */
  readonly onFailed?: ((job: Job<JobResult>) => void) | undefined;
}

/** Report the end of a job to the component. */
export type Report = (job: Job) => void;

/** Create the report of a component: each end once, to its newest callbacks, which `latest` returns. */
export function reportTo(latest: () => Callbacks<never>): Report {
  const told = new Set<string>();
  return (job) => {
    if (told.has(job.requestId)) return;
    told.add(job.requestId);
    latest()[job.status === "completed" ? "onCompleted" : "onFailed"]?.(job as never);
  };
}

/** What the snapshots of all plans have. */
interface Connected {
  readonly error: HookcastError | null;
  readonly transport: Transport;
}

/** Return the options of a watch that updates a snapshot. A new connection clears the error that blocked the last one. */
export function handlersOf<T extends Connected>({ get, set }: Store<T>, report: Report, pollInterval?: number) {
  return {
    pollInterval,
    onCompleted: report,
    onFailed: report,
    onError: (error: HookcastError) => set({ error } as Partial<T>),
    onTransport: (transport: Transport) => {
      const anew = get().transport === "connecting" && transport !== "connecting";
      set({ transport, ...(anew && { error: null }) } as Partial<T>);
    },
  };
}

/** Return the jobs with a newer state of one of them, newest job first. */
export function merged<JobResult>(jobs: readonly Job<JobResult>[], job: Job<JobResult>): readonly Job<JobResult>[] {
  const others = jobs.filter(({ requestId }) => requestId !== job.requestId);
  return newestFirst([job, ...others]);
}

/** Sort jobs in place. */
export function newestFirst<JobResult>(jobs: Job<JobResult>[]): readonly Job<JobResult>[] {
  return jobs.sort((a, b) => (ageOf(a) < ageOf(b) ? 1 : -1));
}

/** Return what jobs are sorted by: the newest has the greatest. */
export function ageOf({ createdAt, requestId }: Job): string {
  return createdAt + requestId;
}
