/** Carry out a plan in a component: an object whose members a watch updates while the component is mounted. */

import { untrack } from "svelte";
import type { Plan } from "../live/plan.js";

class Snapshot<T> {
  value: T = $state.raw() as T;

  constructor(value: T) {
    this.value = value;
  }

  get = (): T => untrack(() => this.value);

  set = (change: Partial<T>): void => {
    this.value = { ...this.get(), ...change };
  };
}

/** Return what a plan shows. `planOf` reads the options: the plan changes with them. */
export function useWatch<T, View extends object>(planOf: () => Plan<T, View>): View {
  const plan = $derived(planOf());
  const key = $derived.by(steady(() => plan.key));
  const restart = $derived.by(steady(() => [plan.start === null, ...plan.restart]));
  const snapshot = $derived.by(() => {
    void key;
    return untrack(() => new Snapshot(plan.initial()));
  });
  $effect(() => {
    const store = snapshot;
    void restart;
    return untrack(() => plan.start?.(store));
  });
  const view = $derived(plan.view(snapshot.value));
  const names = Object.keys(untrack(() => view)) as (keyof View)[];
  const shown = {} as View;
  for (const name of names) Object.defineProperty(shown, name, { enumerable: true, get: () => view[name] });
  return shown;
}

/** Return a function that returns the same array until one of its values changes. */
function steady(valuesOf: () => readonly unknown[]): () => readonly unknown[] {
  let last: readonly unknown[] = [];
  return () => {
    const values = valuesOf();
    if (values.length !== last.length || values.some((value, at) => value !== last[at])) last = values;
    return last;
  };
}
