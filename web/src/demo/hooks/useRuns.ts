/** The jobs of this tab: starting, retrying, and restoring them after a reload. */

import { useCallback, useEffect, useReducer, useState } from "react";
import type { HookcastError, Submission } from "../../lib/index.js";
import { useHookcast } from "../../lib/react/index.js";
import { nextNumber, type Run, type RunAction, reduce, type Seen, UNSEEN } from "../runs";
import { drop, keep, keepKey, recall, recallKey } from "../session";
import { problemOf } from "../trouble";

export interface Runs {
  /** Newest first. */
  readonly runs: readonly Run[];
  /** Whether the server requires an API key, or a different one. */
  readonly locked: boolean;
  readonly start: (prompt: string, submission: Submission, now: number) => void;
  readonly retry: (run: Run) => void;
  readonly seen: (id: string, seen: Seen) => void;
  /** Store the key, and resubmit the jobs that need one. */
  readonly unlock: (key: string) => void;
}

export function useRuns(): Runs {
  const [runs, dispatch] = useReducer(reduce, undefined, restored);
  const [locked, setLocked] = useState(false);
  const lock = useCallback(() => setLocked(true), []);
  const send = useSend(dispatch, lock);
  useRestored(dispatch, lock);

  const start = (prompt: string, submission: Submission, now: number) => {
    const run = { id: newKey(), number: nextNumber(runs), prompt, submission, startedAt: now };
    const started = { ...run, requestId: null, problem: null, seen: UNSEEN };
    dispatch({ type: "started", run: started });
    void send(started);
  };
  const unlock = (key: string) => {
    keepKey(sessionStorage, key);
    setLocked(false);
    for (const run of runs) if (run.problem?.needsKey) void send(run);
  };
  const seen = useCallback((id: string, seen: Seen) => dispatch({ type: "seen", id, seen }), []);
  return { runs, locked, start, unlock, seen, retry: (run) => void send(run) };
}

type Dispatch = (action: RunAction) => void;

function useSend(dispatch: Dispatch, lock: () => void) {
  const client = useHookcast();
  return useCallback(
    async ({ id, prompt, submission }: Run) => {
      if (submission === null) return;
      dispatch({ type: "sent", id });
      try {
        const { requestId, job } = await client.submit(submission, { idempotencyKey: id });
        keep(sessionStorage, { requestId, prompt });
        dispatch({ type: "accepted", id, requestId, job });
      } catch (error) {
        const problem = problemOf(error as HookcastError, recallKey(sessionStorage) !== null);
        dispatch({ type: "rejected", id, problem });
        if (problem.needsKey) lock();
      }
    },
    [client, dispatch, lock],
  );
}

/** Forget restored jobs that the server no longer knows; their cards watch the others. */
function useRestored(dispatch: Dispatch, lock: () => void): void {
  const client = useHookcast();
  useEffect(() => {
    for (const { requestId } of recall(sessionStorage)) {
      client.get(requestId).catch(({ code, status }: HookcastError) => {
        if (status === 401) lock();
        if (code !== "job_not_found") return;
        drop(sessionStorage, requestId);
        dispatch({ type: "gone", id: requestId });
      });
    }
  }, [client, dispatch, lock]);
}

function restored(): readonly Run[] {
  const kept = recall(sessionStorage);
  return kept.map(({ requestId, prompt }, index) => {
    const known = { id: requestId, requestId, prompt, number: kept.length - index };
    return { ...known, submission: null, startedAt: Date.now(), problem: null, seen: UNSEEN };
  });
}

/** Return a random key. `crypto.randomUUID` needs a secure context: it is missing on plain http, except on loopback. */
function newKey(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}
