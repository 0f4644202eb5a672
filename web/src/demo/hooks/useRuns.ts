/** The jobs on the page: those that this tab submits, and the live list of the server's. */

import { useCallback, useEffect, useReducer, useState } from "react";
import type { HookcastError, Transport } from "../../lib/index.js";
import { useHookcast } from "../../lib/react/index.js";
import { useMyJobs } from "../../lib/react/my-jobs.js";
import type { Clock } from "../clock";
import { nextNumber, type Run, type RunAction, reduce, type Seen, UNSEEN } from "../runs";
import { isToken, keepKey, recallKey } from "../session";
import { OWNER, submissionOf, type Wish } from "../submission";
import { problemOf } from "../trouble";

/** The number of jobs that the list begins with, and that each press of a button adds. */
const PAGE = 12;

export interface Runs {
  /** Newest first. */
  readonly runs: readonly Run[];
  /** How often a job was refused for want of an API key since the last one was entered; at least 1 if the list was. */
  readonly refusals: number;
  /** How states arrive right now: all jobs share one connection. */
  readonly transport: Transport;
  /** Whether the server has older jobs. */
  readonly hasMore: boolean;
  readonly loadMore: () => void;
  /** Whether the list could not be loaded. */
  readonly broken: boolean;
  readonly start: (wish: Wish) => void;
  readonly retry: (run: Run) => void;
  readonly seen: (id: string, seen: Seen) => void;
  /** Store the key, and resubmit the jobs that need one. */
  readonly unlock: (key: string) => void;
}

export function useRuns(clock: Clock): Runs {
  const [runs, dispatch] = useReducer(reduce, []);
  const [refusals, setRefusals] = useState(0);
  const send = useSend(dispatch, setRefusals);
  const list = useList(dispatch, refusals, setRefusals);

  const start = (wish: Wish) => {
    const id = newKey();
    const run = { id, number: nextNumber(runs), prompt: wish.prompt, submission: submissionOf(wish, id) };
    const started = { ...run, startedAt: clock.now(), requestId: null, problem: null, seen: UNSEEN };
    dispatch({ type: "started", run: started });
    void send(started);
  };
  const unlock = (key: string) => {
    keepKey(key);
    setRefusals(0);
    for (const run of runs) if (run.problem?.needsKey) void send(run);
  };
  const seen = useCallback((id: string, seen: Seen) => dispatch({ type: "seen", id, seen }), []);
  return { runs, refusals, ...list, start, unlock, seen, retry: (run) => void send(run) };
}

type Dispatch = (action: RunAction) => void;
type Count = (change: (count: number) => number) => void;

/** Follow the server's list; while it asks for a key, wait for that. */
function useList(dispatch: Dispatch, refusals: number, count: Count) {
  const owner = isToken(recallKey()) ? null : OWNER;
  const { jobs, error, hasMore, loadMore, transport } = useMyJobs({ owner, limit: PAGE, enabled: refusals === 0 });
  useEffect(() => dispatch({ type: "found", jobs }), [dispatch, jobs]);
  const refused = error?.status === 401;
  useEffect(() => {
    if (refused) count((refusals) => Math.max(refusals, 1));
  }, [refused, count]);
  return { transport, hasMore, loadMore, broken: error !== null && !refused };
}

function useSend(dispatch: Dispatch, count: Count) {
  const client = useHookcast();
  return useCallback(
    async ({ id, submission }: Run) => {
      if (submission === null) return;
      dispatch({ type: "sent", id });
      try {
        const { job } = await client.submit(submission, { idempotencyKey: id });
        dispatch({ type: "accepted", id, job });
      } catch (error) {
        const problem = problemOf(error as HookcastError, recallKey() !== null);
        dispatch({ type: "rejected", id, problem });
        if (problem.needsKey) count((refusals) => refusals + 1);
      }
    },
    [client, dispatch, count],
  );
}

/** Return a random key. `crypto.randomUUID` needs a secure context: it is missing on plain http, except on loopback. */
function newKey(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}
