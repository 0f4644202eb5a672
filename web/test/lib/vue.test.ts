// @vitest-environment happy-dom

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type App, createApp, defineComponent, h, nextTick, ref } from "vue";
import { createHookcast, type Hookcast } from "../../src/lib/index.js";
import { HookcastPlugin, useFalJob, useFalJobs, useHookcast, useMyJobs } from "../../src/lib/vue/index.js";
import { fakeTime, job, json, pass, recorder, World } from "./world.js";

fakeTime();
let world: World;
let client: Hookcast;
let app: App;

beforeEach(() => {
  world = new World();
  client = createHookcast(world.options);
});
afterEach(async () => {
  app.unmount();
  client.close();
  await vi.runOnlyPendingTimersAsync();
});

/** Mount a component, and return what its setup returned. */
async function mounted<Result>(setup: () => Result): Promise<Result> {
  let found: Result | undefined;
  const root = defineComponent(() => {
    found = setup();
    return () => h("p");
  });
  app = createApp(root);
  app.use(HookcastPlugin, { client }).mount(document.createElement("div"));
  await vi.dynamicImportSettled();
  await pass(0);
  await world.sockets.at(-1)?.accept();
  return found as Result;
}

describe("useFalJob", () => {
  it("has refs of the job, and reports its end once", async () => {
    const { seen, handlers } = recorder();
    const { status, isPolling, job: state, error } = await mounted(() => useFalJob({ requestId: "a", ...handlers }));
    expect([status.value, isPolling.value, state.value]).toEqual(["pending", true, null]);
    world.socket.state("a", { version: 2, status: "failed", error: "prompt: missing" });
    expect([status.value, isPolling.value, error.value?.message]).toEqual(["failed", false, "prompt: missing"]);
    expect(seen).toEqual(["failed a 2"]);
  });

  it("follows a requestId that is a ref", async () => {
    const requestId = ref<string | null>(null);
    const { status, job: state } = await mounted(() => useFalJob({ requestId, maxPollTime: () => 20_000 }));
    expect([status.value, world.sockets.length]).toEqual(["idle", 0]);
    requestId.value = "a";
    await pass(0);
    await world.socket.accept();
    world.socket.state("a");
    expect([status.value, state.value?.requestId]).toEqual(["pending", "a"]);
    requestId.value = "b";
    expect([status.value, state.value]).toEqual(["pending", null]);
    await pass(50);
    expect(world.socket.sent.at(-1)).toMatchObject({ type: "subscribe", requestIds: ["b"] });
    world.socket.state("a", { version: 2 });
    expect(state.value).toBe(null);
  });

  it("retries the job that it watches now", async () => {
    const requestId = ref("a");
    const { retry } = await mounted(() => useFalJob({ requestId }));
    requestId.value = "b";
    world.answer = () => json({ requestId: "c", job: job("c") }, 202);
    expect((await retry.value()).requestId).toBe("c");
    expect(world.asked("/b/retry")).toHaveLength(1);
  });

  it("ends its watch with the component", async () => {
    await mounted(() => useFalJob({ requestId: "a" }));
    app.unmount();
    await pass(50);
    expect(world.socket.readyState).toBe(3);
  });

  it("wants the plugin", async () => {
    let error: unknown;
    app = createApp(
      defineComponent(() => {
        useHookcast();
        return () => h("p");
      }),
    );
    app.config.warnHandler = () => {};
    app.config.errorHandler = (reason) => {
      error = reason;
    };
    app.mount(document.createElement("div"));
    await nextTick();
    expect(String(error)).toMatch(/HookcastPlugin/);
  });
});

it("useFalJobs has the jobs of a group, newest first", async () => {
  const { jobs, transport } = await mounted(() => useFalJobs("g"));
  world.socket.state("a", { group: "g", createdAt: "2026-11-23T10:00:00.000Z" });
  world.socket.state("b", { group: "g", createdAt: "2026-11-23T11:00:00.000Z" });
  expect([jobs.value.map(({ requestId }) => requestId), transport.value]).toEqual([["b", "a"], "websocket"]);
});

it("useMyJobs has pages of the history and live changes", async () => {
  const history = ["c", "b", "a"].map((id) => job(id, { owner: "user-1" }));
  world.answer = (url) => {
    const from = Number(url.searchParams.get("cursor") ?? 0);
    return json({ jobs: history.slice(from, from + 2), nextCursor: from === 0 ? "2" : null });
  };
  const { jobs, hasMore, loadMore } = await mounted(() => useMyJobs({ owner: "user-1", limit: 2 }));
  world.socket.state("d", { owner: "user-1" });
  const names = () => jobs.value.map(({ requestId }) => requestId).join(" ");
  expect([names(), hasMore.value]).toEqual(["d c b", true]);
  loadMore.value();
  await pass(0);
  expect([names(), hasMore.value]).toEqual(["d c b a", false]);
});
