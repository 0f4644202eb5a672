/** What both hooks do: a snapshot that a watch replaces while the component is mounted. */

import { useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import type { Job } from "../index.js";

/** The last value given, in a ref that callbacks may read: they are the newest ones, without a new watch. */
export function useLatest<T>(value: T): { readonly current: T } {
  const latest = useRef(value);
  useEffect(() => {
    latest.current = value;
  });
  return latest;
}

/** Whether a job's end is told for the first time by this component. */
export function useOnce(): (job: Job) => boolean {
  const told = useRef(new Set<string>());
  return (job) => !told.current.has(job.requestId) && !!told.current.add(job.requestId);
}

export interface Store<T> {
  readonly get: () => T;
  readonly set: (change: Partial<T>) => void;
}

/**
 * A snapshot that lives as long as `key`, and is changed by what `start` begins (null: nothing) when the component is
 * mounted or `restart` changes. `start` answers what ends it.
 */
export function useWatch<T>(
  initial: T,
  start: ((store: Store<T>) => () => void) | null,
  key: readonly unknown[],
  restart: readonly unknown[],
): T {
  // biome-ignore lint/correctness/useExhaustiveDependencies: the caller's keys are what it depends on
  const store = useMemo(() => createStore(initial), key);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the caller's keys are what it depends on
  const subscribe = useMemo(() => store.subscribe(start), [store, start === null, ...restart]);
  return useSyncExternalStore(subscribe, store.get, store.get);
}

function createStore<T>(initial: T) {
  let value = initial;
  const subscribe = (start: ((store: Store<T>) => () => void) | null) => (changed: () => void) => {
    const set = (change: Partial<T>) => {
      value = { ...value, ...change };
      changed();
    };
    return start?.({ get: () => value, set }) ?? (() => {});
  };
  return { get: () => value, subscribe };
}
