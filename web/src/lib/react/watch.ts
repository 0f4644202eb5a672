/** Shared by both hooks: a snapshot that a watch updates while the component is mounted. */

import { useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import type { Job, Transport } from "../index.js";

/** Return a ref to the newest value: a watch calls the newest callbacks without being restarted. */
export function useLatest<T>(value: T): { readonly current: T } {
  const latest = useRef(value);
  useEffect(() => {
    latest.current = value;
  });
  return latest;
}

/** Return a predicate that is true once per job: a component reports each end once. */
export function useOnce(): (job: Job) => boolean {
  const told = useRef(new Set<string>());
  return (job) => !told.current.has(job.requestId) && !!told.current.add(job.requestId);
}

/** Return the change to a new transport; a new connection clears the error that blocked the last one. */
export function connected(
  before: { readonly transport: Transport },
  transport: Transport,
): { readonly transport: Transport; readonly error?: null } {
  return before.transport === "connecting" && transport !== "connecting" ? { transport, error: null } : { transport };
}

export interface Store<T> {
  readonly get: () => T;
  readonly set: (change: Partial<T>) => void;
}

/**
 * Return a snapshot that is reset when `key` changes. `start` begins the watch that updates it (null: none), on mount
 * and when `restart` changes, and returns the function that ends the watch.
 */
export function useWatch<T>(
  initial: T,
  start: ((store: Store<T>) => () => void) | null,
  key: readonly unknown[],
  restart: readonly unknown[],
): T {
  // biome-ignore lint/correctness/useExhaustiveDependencies: the caller's keys are the dependencies
  const store = useMemo(() => createStore(initial), key);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the caller's keys are the dependencies
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
