/** The Vue plugin that provides the client. */

import { type App, type InjectionKey, inject } from "vue";
import { createHookcast, type Hookcast, type HookcastOptions } from "../index.js";

const KEY: InjectionKey<Hookcast> = Symbol("hookcast");

/** Your own client, or the options of the one that the plugin creates. */
export type HookcastPluginOptions = { readonly client: Hookcast } | (HookcastOptions & { readonly client?: undefined });

/** `app.use(HookcastPlugin, { url, getToken })`. The client connects when a composable first watches something. */
export const HookcastPlugin = {
  install(app: App, { client, ...options }: HookcastPluginOptions = {}): void {
    app.provide(KEY, client ?? createHookcast(options));
  },
};

/** Return the client, to submit jobs or to watch them directly. Throws an Error in an app without the plugin. */
export function useHookcast(): Hookcast {
  const client = inject(KEY, null);
  if (client === null) throw new Error("Hookcast's composables want app.use(HookcastPlugin).");
  return client;
}
