/** Carry out a plan in a component: refs that a watch updates while the component is mounted. */

import {
  type ComputedRef,
  computed,
  getCurrentInstance,
  type MaybeRefOrGetter,
  onMounted,
  onScopeDispose,
  ref,
  shallowRef,
  toValue,
  watch,
} from "vue";
import type { Plan } from "../live/plan.js";

/** A ref of each member. */
export type Refs<View> = { readonly [Name in keyof View]: ComputedRef<View[Name]> };

/** Options whose members, except for callbacks, may be refs or getters. */
export type Reactive<Options> = {
  readonly [Name in keyof Options]: Name extends `on${string}` ? Options[Name] : MaybeRefOrGetter<Options[Name]>;
};

/** Return the present values of options. */
export function valuesOf<Options extends object>(options: Reactive<Options>): Options {
  const values = Object.entries(options).map(([name, value]) => [name, /^on[A-Z]/.test(name) ? value : toValue(value)]);
  return Object.fromEntries(values);
}

/** Return what a plan shows. `planOf` reads the options: the plan changes with them. */
export function useWatch<T, View extends object>(planOf: () => Plan<T, View>): Refs<View> {
  const plan = computed(planOf);
  const snapshot = shallowRef(plan.value.initial());
  const present = ref(false);
  let stop = () => {};

  const begin = () => {
    stop();
    const store = {
      get: () => snapshot.value,
      set: (change: Partial<T>) => {
        snapshot.value = { ...snapshot.value, ...change };
      },
    };
    stop = (present.value && plan.value.start?.(store)) || (() => {});
  };
  const each = (name: "key" | "restart") => plan.value[name].map((_, at) => () => plan.value[name][at]);
  const reset = () => {
    stop();
    snapshot.value = plan.value.initial();
    begin();
  };
  watch(each("key"), reset, { flush: "sync" });
  watch([present, () => plan.value.start === null, ...each("restart")], begin, { flush: "sync" });
  // Not on a server, nor before hydration; outside a component at once.
  if (getCurrentInstance()) onMounted(() => (present.value = true));
  else present.value = typeof window !== "undefined";
  onScopeDispose(() => stop());
  const view = computed(() => plan.value.view(snapshot.value));
  const names = Object.keys(view.value) as (keyof View)[];
  return Object.fromEntries(names.map((name) => [name, computed(() => view.value[name])])) as Refs<View>;
}
