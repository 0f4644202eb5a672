/** Components that watch a job, mounted in StrictMode below a provider. */

import { act, createElement, type ReactNode, StrictMode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, vi } from "vitest";
import { createHookcast, type Hookcast } from "../../src/lib/index.js";
import { type FalJob, type FalJobOptions, HookcastProvider, useFalJob } from "../../src/lib/react/index.js";
import { pass, World } from "./world.js";

/** What the test has now. */
export let root: Root;
export let world: World;
export let client: Hookcast;
export let found: FalJob | undefined;

/** A root and a client for each test; comes after `fakeTime`. */
export function mounting(): void {
  beforeEach(() => {
    vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
    root = createRoot(document.createElement("div"));
    world = new World();
    client = createHookcast(world.options);
  });
  afterEach(async () => {
    await act(async () => root.unmount());
    client.close();
    await vi.runOnlyPendingTimersAsync();
  });
}

export function Watching(options: FalJobOptions) {
  found = useFalJob(options);
  return found.status;
}

export async function render(node: ReactNode): Promise<void> {
  const strict = createElement(StrictMode, null, createElement(HookcastProvider, { client }, node));
  await act(async () => root.render(strict));
  await act(() => pass(0));
}

export async function show(options: Partial<FalJobOptions> = {}): Promise<void> {
  await render(createElement(Watching, { requestId: "a", ...options }));
}

export async function live(options: Partial<FalJobOptions> = {}): Promise<void> {
  await show(options);
  await act(() => world.socket.accept());
}

export async function state(...[requestId, changes]: Parameters<(typeof world.socket)["state"]>): Promise<void> {
  await act(async () => world.socket.state(requestId, changes));
}
