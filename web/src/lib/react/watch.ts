/** Carry out a plan in a component: a snapshot that a watch updates while the component is mounted. */

import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { type Callbacks, type Plan, type Report, reportTo, type Store } from "../live/plan.js";

/** Return a report to the newest callbacks, so that a watch is not restarted for them. */
export function useReport(callbacks: Callbacks<never>): Report {
  const latest = useRef(callbacks);
  useEffect(() => {
    latest.current = callbacks;
  });
  return useState(() => reportTo(() => latest.current))[0];
}

/** Return what a plan shows. */
export function useWatch<T, View>({ initial, key, start, restart, view }: Plan<T, View>): View {
  // biome-ignore lint/correctness/useExhaustiveDependencies: the plan's keys are the dependencies
  const store = useMemo(() => createStore(initial()), key);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the plan's keys are the dependencies
  const subscribe = useMemo(() => store.subscribe(start), [store, start === null, ...restart]);
  return view(useSyncExternalStore(subscribe, store.get, store.get));
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
