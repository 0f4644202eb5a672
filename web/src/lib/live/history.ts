/** What a component shows of the jobs of a user: pages of the history, and what is newer. */

import { type HookcastError, isTerminal, type Job, type JobPage, type Transport } from "../index.js";
import { ageOf, type Callbacks } from "./plan.js";

/** Options of `useMyJobs`. Here the callbacks report ends that come while the component is mounted, not earlier ones. */
export interface MyJobsOptions<JobResult = unknown> extends Callbacks<JobResult> {
  /** Whose jobs; by default the user of the token, its `sub`. */
  readonly owner?: string | null | undefined;
  /** The number of jobs of each page of the history, 1 to 200; 20 by default. */
  readonly limit?: number;
  /** The first page, such as the one that a server listed: shown from the first render on. */
  readonly initialPage?: JobPage<JobResult> | null | undefined;
  /** Milliseconds between polls where no better transport works; 3000 by default. */
  readonly pollInterval?: number;
  /** Whether to watch; true by default. */
  readonly enabled?: boolean;
}

/** What `useMyJobs` returns. */
export interface MyJobs<JobResult = unknown> {
  /** The newest state of each job, newest job first: the pages loaded so far, and all jobs that came since. */
  readonly jobs: readonly Job<JobResult>[];
  /** Whether there are older jobs. */
  readonly hasMore: boolean;
  /** Whether a page is being loaded. */
  readonly isLoading: boolean;
  /** Load the next page, or the first one again if that failed; `error` says why. The first one is retried anyway. */
  readonly loadMore: () => void;
  /** Why a page could not be loaded, or what blocks the states; null once it is connected. */
  readonly error: HookcastError | null;
  /** How states arrive right now. */
  readonly transport: Transport;
}

/** Which part of the history is there. It changes in place, and outlasts a watch. */
export interface Loaded<JobResult> {
  /** The newest state of each job that is shown; before the first page, of all jobs. */
  readonly states: Map<string, Job<JobResult>>;
  /** Jobs whose end is to be reported: they were seen pending. */
  readonly pending: Set<string>;
  /** Where the next page begins: undefined before the first one, null after the last. */
  cursor: string | null | undefined;
  /** The age of the oldest job that is shown; undefined before the first page. */
  edge: string | undefined;
  /** The age of the newest job of the first page. */
  newest: string;
}

/** The snapshot. */
export interface Shown<JobResult> extends MyJobs<JobResult> {
  readonly loaded: Loaded<JobResult>;
}

/** Add a page. */
export function add<JobResult>(loaded: Loaded<JobResult>, { jobs, nextCursor }: JobPage<JobResult>): void {
  const { states, pending } = loaded;
  const ages = jobs.map(ageOf);
  if (loaded.edge === undefined) loaded.newest = ages[0] ?? "";
  loaded.cursor = nextCursor ?? null;
  loaded.edge = nextCursor ? (ages.at(-1) ?? loaded.edge) : "";
  for (const job of jobs) {
    const { requestId, version } = job;
    if (version > (states.get(requestId)?.version ?? 0)) states.set(requestId, job);
    if (!isTerminal(job)) pending.add(requestId);
  }
  for (const job of states.values()) if (ageOf(job) < (loaded.edge ?? "")) states.delete(job.requestId);
}
