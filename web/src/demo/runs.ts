/** The jobs on the page, newest first, and the reducer that updates them; pure. */

import type { Job, Submission, Transport } from "../lib/index.js";
import type { Lag } from "./lag";
import { promptOf, runOf } from "./submission";
import type { Problem } from "./trouble";

export interface Run {
  /** The idempotency key; the requestId if the job came from the server's list. */
  readonly id: string;
  /** 1, 2, 3 …: the job's name on the page. */
  readonly number: number;
  readonly prompt: string;
  /** When it was started, in milliseconds since 1970. */
  readonly startedAt: number;
  /** Null if the job came from the server's list: another tab submitted it, or this one before a reload. */
  readonly submission: Submission | null;
  /** Null until the server has accepted it. */
  readonly requestId: string | null;
  /** Why it was not accepted. */
  readonly problem: Problem | null;
  readonly seen: Seen;
}

/** What the page has received about a job. */
export interface Seen {
  readonly job: Job | null;
  /** How its states arrive or, once it has ended, how the last one arrived. */
  readonly transport: Transport;
  /** Null until it has ended. */
  readonly lag: Lag | null;
}

export type RunAction =
  | { readonly type: "started"; readonly run: Run }
  | { readonly type: "found"; readonly jobs: readonly Job[] }
  | { readonly type: "sent"; readonly id: string }
  | { readonly type: "accepted"; readonly id: string; readonly job: Job }
  | { readonly type: "rejected"; readonly id: string; readonly problem: Problem }
  | { readonly type: "seen"; readonly id: string; readonly seen: Seen };

export const UNSEEN: Seen = { job: null, transport: "connecting", lag: null };

export function reduce(runs: readonly Run[], action: RunAction): readonly Run[] {
  switch (action.type) {
    case "started":
      return [action.run, ...runs];
    case "found":
      return action.jobs.reduceRight(found, runs);
    case "sent":
      return change(runs, action.id, { problem: null });
    case "accepted":
      return accept(runs, action.id, action.job);
    case "rejected":
      return change(runs, action.id, { problem: action.problem });
    case "seen":
      return change(runs, action.id, { seen: action.seen });
  }
}

function change(runs: readonly Run[], id: string, changes: Partial<Run>): readonly Run[] {
  return runs.map((run) => (run.id === id ? { ...run, ...changes } : run));
}

/** Add a job of the server's list, unless it is there. The list may be faster than the answer to the submission. */
function found(runs: readonly Run[], job: Job): readonly Run[] {
  const { requestId, createdAt } = job;
  if (runs.some((run) => run.requestId === requestId)) return runs;
  const own = runs.find(({ id, requestId }) => requestId === null && id === runOf(job));
  if (own !== undefined) return accept(runs, own.id, job);
  const known = { id: requestId, requestId, number: nextNumber(runs), prompt: promptOf(job), problem: null };
  const run = { ...known, submission: null, startedAt: Date.parse(createdAt), seen: { ...UNSEEN, job } };
  return [...runs, run].sort((a, b) => b.startedAt - a.startedAt);
}

/** Note the job of a submission; a job that was found, or that has another run, is there already. */
function accept(runs: readonly Run[], id: string, job: Job): readonly Run[] {
  const known = runs.find(({ requestId }) => requestId === job.requestId);
  if (known !== undefined) return known.id === id ? runs : runs.filter((run) => run.id !== id);
  return change(runs, id, { requestId: job.requestId, problem: null, seen: { ...UNSEEN, job } });
}

/** Return the number of the next job. */
export function nextNumber(runs: readonly Run[]): number {
  return Math.max(0, ...runs.map(({ number }) => number)) + 1;
}

export type RunStatus = "submitting" | "rejected" | "connecting" | Job["status"];

export function statusOf({ problem, requestId, seen: { job } }: Run): RunStatus {
  if (problem !== null) return "rejected";
  if (requestId === null) return "submitting";
  return job?.status ?? "connecting";
}

/** Return whether more states are expected from the server. */
export function isActive(run: Run): boolean {
  return run.requestId !== null && ["connecting", "pending"].includes(statusOf(run));
}

/** Return whether states arrive, over any transport. */
export function isOpen(transport: Transport): boolean {
  return !["connecting", "paused", "closed"].includes(transport);
}
