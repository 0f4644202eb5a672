// @vitest-environment happy-dom

import { Activity, act, createElement } from "react";
import { hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { describe, expect, it, vi } from "vitest";
import type { Hookcast } from "../../src/lib/index.js";
import {
  type FalJobOptions,
  type FalJobs,
  type FalJobsOptions,
  HookcastProvider,
  useFalJob,
  useFalJobs,
  useHookcast,
} from "../../src/lib/react/index.js";
import { client, found, live, mounting, render, root, show, state, Watching, world } from "./mounting.js";
import { fakeTime, job, json, pass, recorder } from "./world.js";

fakeTime();
mounting();

function Details(options: FalJobOptions) {
  const { job, status, progress } = useFalJob(options);
  return `${job?.version} ${status} ${progress?.phase}`;
}

const clients = new Set<Hookcast>();
function Probe() {
  clients.add(useHookcast());
  return null;
}

let jobs: FalJobs | undefined;
function Group({ group, handlers }: { group: string | null; handlers: FalJobsOptions }) {
  jobs = useFalJobs(group, handlers);
  return null;
}

/** Return the function that shows or hides a component with these handlers. */
function within(handlers: Partial<FalJobOptions>): (mode: "visible" | "hidden") => Promise<void> {
  const props = { requestId: "a", ...handlers };
  // biome-ignore lint/correctness/noChildrenProp: its type wants them here
  return (mode) => render(createElement(Activity, { mode, children: createElement(Watching, props) }));
}

describe("useFalJob", () => {
  it("is pending and polling from the start to the outcome, over one connection in StrictMode", async () => {
    await live();
    expect(world.sockets).toHaveLength(1);
    expect(found).toMatchObject({
      job: null,
      status: "pending",
      isPending: true,
      isPolling: true,
      transport: "websocket",
    });
    await state("a");
    expect(found).toMatchObject({ status: "pending", isPolling: true, progress: { queuePosition: 2 } });
    await state("a", { version: 2, status: "completed", result: { video: 1 } });
    expect(found).toMatchObject({
      job: { result: { video: 1 } },
      isPending: false,
      isPolling: false,
      isCompleted: true,
      isFailed: false,
      error: null,
    });
  });

  it("tells the end once, to the newest callback", async () => {
    const [first, second] = [recorder(), recorder()];
    await live(first.handlers);
    await show(second.handlers);
    await state("a", { version: 2, status: "completed" });
    await show({ ...second.handlers, pollInterval: 1_000 });
    await pass(60_000);
    expect([first.seen, second.seen]).toEqual([[], ["completed a 2"]]);
    expect(world.sockets).toHaveLength(1);
  });

  it("shows what blocks it, until it is connected", async () => {
    await show();
    for (let passed = 0; passed < 10; passed += 1) {
      await act(() => pass(1_000));
      await act(() => vi.dynamicImportSettled());
    }
    expect(found).toMatchObject({ isPending: true, error: { code: "unreachable" } });
    world.answer = () => json(job("a", { version: 1 }));
    await act(() => pass(40_000));
    expect(found).toMatchObject({ job: { version: 1 }, error: null });
  });

  it("says why a job failed", async () => {
    const { seen, handlers } = recorder();
    await live(handlers);
    await state("a", { version: 2, status: "failed", error: "prompt: missing", errorDetail: { loc: ["prompt"] } });
    expect(found).toMatchObject({
      isFailed: true,
      isPolling: false,
      error: { code: "job_failed", message: "prompt: missing" },
    });
    expect(found?.error?.detail).toEqual({ loc: ["prompt"] });
    expect(seen).toEqual(["failed a 2"]);
  });

  it("watches nothing without a requestId or while it is not enabled", async () => {
    for (const options of [{ requestId: null }, { enabled: false }]) {
      await show(options);
      expect(found).toMatchObject({ status: "idle", isPending: false, isPolling: false });
    }
    expect(world.sockets).toHaveLength(0);
    await show({ enabled: true });
    expect(world.sockets).toHaveLength(1);
    expect(found).toMatchObject({ status: "pending", isPolling: true });
  });

  it("cancels and retries its job, with functions that stay the same", async () => {
    await live();
    const first = found;
    await state("a", { version: 2, status: "failed" });
    expect([found?.cancel, found?.retry]).toEqual([first?.cancel, first?.retry]);
    const answers = [json(job("a", { version: 3 })), json({ requestId: "b", job: job("b", { retryOf: "a" }) }, 202)];
    world.answer = () => answers.shift();
    const cancelled = await act(async () => found?.cancel());
    const again = await act(async () => found?.retry({ idempotencyKey: "k" }));
    expect([cancelled?.version, again?.requestId]).toEqual([3, "b"]);
    const asked = world.calls.map(({ url, init, headers }) => [
      init.method,
      url.pathname.split("/fal-jobs")[1],
      headers.get("Idempotency-Key"),
    ]);
    expect(asked).toEqual([
      ["POST", "/a/cancel", null],
      ["POST", "/a/retry", "k"],
    ]);
  });

  it("begins anew with another requestId", async () => {
    const { seen, handlers } = recorder();
    await live(handlers);
    await state("a", { version: 2, status: "completed" });
    await show({ ...handlers, requestId: "b" });
    expect(found).toMatchObject({ job: null, status: "pending" });
    await act(() => pass(50));
    await act(() => world.socket.accept());
    await state("b", { version: 2, status: "cancelled" });
    expect(seen).toEqual(["completed a 2", "failed b 2"]);
    expect(found?.error?.code).toBe("job_cancelled");
  });

  it("tells an end that was before it once, in StrictMode", async () => {
    const { seen, handlers } = recorder();
    client.watchGroup("g");
    await pass(0);
    await world.socket.accept();
    await state("a", { group: "g", version: 2, status: "completed" });
    await live(handlers);
    expect(found?.isCompleted).toBe(true);
    expect(seen).toEqual(["completed a 2"]);
  });

  it("tells the end once when it is hidden and shown again", async () => {
    const { seen, handlers } = recorder();
    const inside = within(handlers);
    await inside("visible");
    await act(() => world.socket.accept());
    await state("a", { version: 2, status: "completed" });
    await inside("hidden");
    await inside("visible");
    expect(seen).toEqual(["completed a 2"]);
  });

  it("tells an end that came while it was hidden once it is shown", async () => {
    const { seen, handlers } = recorder();
    const inside = within(handlers);
    await inside("visible");
    await inside("hidden");
    await act(() => pass(50));
    expect(seen).toEqual([]);
    await inside("visible");
    await act(() => world.socket.accept());
    await state("a", { version: 2, status: "completed" });
    expect(seen).toEqual(["completed a 2"]);
  });

  it("tells the end again when it is mounted anew", async () => {
    const { seen, handlers } = recorder();
    await live(handlers);
    await state("a", { version: 2, status: "completed" });
    await render(null);
    await show(handlers);
    await act(() => world.socket.accept());
    await state("a", { version: 2, status: "completed" });
    expect(seen).toEqual(["completed a 2", "completed a 2"]);
  });

  it("says nothing after it was unmounted", async () => {
    const { seen, handlers } = recorder();
    await live(handlers);
    await render(null);
    const { socket } = world;
    await act(() => pass(50));
    await act(async () => socket.state("a", { version: 2, status: "completed" }));
    expect(seen).toEqual([]);
    expect(socket.readyState).toBe(3);
  });

  it("renders on a server as pending, and connects to nothing", () => {
    const node = createElement(HookcastProvider, { client }, createElement(Watching, { requestId: "a" }));
    expect(renderToString(node)).toBe("pending");
    expect(world.sockets).toHaveLength(0);
  });

  it("begins with a state that a server rendered, without a flash", async () => {
    const initialJob = job("a", { version: 3 });
    const { seen, handlers } = recorder();
    const options = { requestId: "a", initialJob, ...handlers };
    const app = createElement(HookcastProvider, { client }, createElement(Details, options));
    const container = document.createElement("div");
    container.innerHTML = renderToString(app);
    expect(container.textContent).toBe("3 pending queued");
    const complaints = vi.spyOn(console, "error");
    const hydrated = await act(async () => hydrateRoot(container, app));
    await act(() => pass(0));
    await act(() => world.socket.accept());
    await state("a", { version: 2, progress: { ...initialJob.progress, phase: "running" } });
    expect(container.textContent).toBe("3 pending queued");
    await state("a", { version: 4, status: "completed" });
    expect(container.textContent).toBe("4 completed queued");
    expect(seen).toEqual(["completed a 4"]);
    expect(complaints).not.toHaveBeenCalled();
    await act(async () => hydrated.unmount());
  });

  it("does not watch a job whose initial state is its last, and reports its end once", async () => {
    const { seen, handlers } = recorder();
    const initialJob = job("a", { version: 3, status: "failed", error: "prompt: missing" });
    await show({ initialJob, ...handlers });
    await show({ initialJob, ...handlers, pollInterval: 1_000 });
    expect(found).toMatchObject({ isFailed: true, isPolling: false, error: { message: "prompt: missing" } });
    expect([seen, world.sockets.length]).toEqual([["failed a 3"], 0]);
    await show({ requestId: "b", initialJob });
    expect(found).toMatchObject({ job: null, status: "pending" });
  });

  it("wants a provider", () => {
    expect(() => renderToString(createElement(Watching, { requestId: "a" }))).toThrow(/<HookcastProvider>/);
  });
});

describe("a provider", () => {
  it("makes one client from its options", async () => {
    for (let turn = 0; turn < 2; turn += 1) {
      await act(async () => root.render(createElement(HookcastProvider, world.options, createElement(Probe))));
    }
    expect(clients.size).toBe(1);
  });
});

describe("useFalJobs", () => {
  it("has the jobs of the group, newest first, and tells each end once", async () => {
    const { seen, handlers } = recorder();
    await render(createElement(Group, { group: "g", handlers }));
    await act(() => world.socket.accept());
    await state("a", { group: "g", createdAt: "2026-11-23T10:00:00.000Z" });
    await state("b", { group: "g", createdAt: "2026-11-23T11:00:00.000Z" });
    await state("a", { group: "g", createdAt: "2026-11-23T10:00:00.000Z", version: 2, status: "completed" });
    expect(jobs?.jobs.map(({ requestId, version }) => [requestId, version])).toEqual([
      ["b", 1],
      ["a", 2],
    ]);
    expect(jobs?.transport).toBe("websocket");
    expect(seen).toEqual(["completed a 2"]);
    await render(createElement(Group, { group: null, handlers }));
    expect(jobs?.jobs).toEqual([]);
  });

  it("keeps the order of jobs that were made in one moment", async () => {
    await render(createElement(Group, { group: "g", handlers: {} }));
    await act(() => world.socket.accept());
    for (const id of ["a", "b", "c"]) await state(id, { group: "g" });
    const order = () => jobs?.jobs.map(({ requestId }) => requestId);
    const before = order();
    await state("a", { group: "g", version: 2 });
    expect(order()).toEqual(before);
  });
});
