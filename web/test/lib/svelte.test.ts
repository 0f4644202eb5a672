// @vitest-environment happy-dom

import { flushSync, mount, unmount } from "svelte";
import { SvelteMap } from "svelte/reactivity";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createHookcast, type Hookcast } from "../../src/lib/index.js";
import { setHookcast, useFalJob, useFalJobs, useHookcast, useMyJobs } from "../../src/lib/svelte/index.js";
import Setup from "./Setup.svelte";
import { fakeTime, job, json, pass, recorder, World } from "./world.js";

fakeTime();
let world: World;
let client: Hookcast;
let component: object | null;

beforeEach(() => {
  world = new World();
  client = createHookcast(world.options);
  component = null;
});
afterEach(async () => {
  if (component) await unmount(component);
  client.close();
  await vi.runOnlyPendingTimersAsync();
  document.body.replaceChildren();
});

/** Mount a component that shows a text, with a client above; return what its script used. */
async function mounted<Used>(use: () => Used, text: (used: Used) => string = () => ""): Promise<Used> {
  let found: Used | undefined;
  const setup = () => {
    setHookcast(client);
    const used = use();
    found = used;
    return () => text(used);
  };
  component = mount(Setup, { target: document.body, props: { setup } });
  await happened();
  await vi.dynamicImportSettled();
  await pass(0);
  await world.sockets.at(-1)?.accept();
  return found as Used;
}

/** Let effects run, and what they begin. */
async function happened(): Promise<void> {
  flushSync();
  await pass(0);
}

function shown(): string | null {
  flushSync();
  return document.body.textContent;
}

describe("useFalJob", () => {
  it("shows each state of the job, and reports its end once", async () => {
    const { seen, handlers } = recorder();
    const video = await mounted(
      () => useFalJob(() => ({ requestId: "a", ...handlers })),
      ({ status, isPolling, error }) => `${status} ${isPolling} ${error?.message}`,
    );
    expect([shown(), video.job]).toEqual(["pending true undefined", null]);
    world.socket.state("a", { version: 2, status: "failed", error: "prompt: missing" });
    expect(shown()).toBe("failed false prompt: missing");
    expect(seen).toEqual(["failed a 2"]);
  });

  it("follows a requestId that changes", async () => {
    const state = new SvelteMap<"requestId", string>();
    const video = await mounted(() => useFalJob(() => ({ requestId: state.get("requestId") })));
    expect([video.status, world.sockets.length]).toEqual(["idle", 0]);
    state.set("requestId", "a");
    await happened();
    await world.socket.accept();
    world.socket.state("a");
    expect([video.status, video.job?.requestId]).toEqual(["pending", "a"]);
    state.set("requestId", "b");
    await happened();
    expect([video.status, video.job]).toEqual(["pending", null]);
    await pass(50);
    expect(world.socket.sent.at(-1)).toMatchObject({ type: "subscribe", requestIds: ["b"] });
    world.socket.state("a", { version: 2 });
    expect(video.job).toBe(null);
  });

  it("keeps its watch while options change that do not concern it", async () => {
    const watched = vi.spyOn(client, "watch");
    const state = new SvelteMap([["told", 0]]);
    await mounted(() => useFalJob(() => ({ requestId: "a", onCompleted: state.get("told") ? () => {} : undefined })));
    state.set("told", 1);
    await happened();
    expect(watched).toHaveBeenCalledOnce();
  });

  it("ends its watch while it is not enabled", async () => {
    const state = new SvelteMap([["enabled", true]]);
    const video = await mounted(() => useFalJob(() => ({ requestId: "a", enabled: state.get("enabled") ?? true })));
    state.set("enabled", false);
    await happened();
    expect(video.isPolling).toBe(false);
    await pass(50);
    expect(world.socket.readyState).toBe(3);
  });

  it("retries the job that it watches now", async () => {
    const state = new SvelteMap([["requestId", "a"]]);
    const video = await mounted(() => useFalJob(() => ({ requestId: state.get("requestId") })));
    state.set("requestId", "b");
    world.answer = () => json({ requestId: "c", job: job("c") }, 202);
    expect((await video.retry()).requestId).toBe("c");
    expect(world.asked("/b/retry")).toHaveLength(1);
  });

  it("ends its watch with the component", async () => {
    await mounted(() => useFalJob(() => ({ requestId: "a" })));
    await unmount(component ?? {});
    component = null;
    await pass(50);
    expect(world.socket.readyState).toBe(3);
  });

  it("begins with an initial state", async () => {
    const initialJob = job("a", { version: 2, status: "completed" });
    await mounted(
      () => useFalJob(() => ({ requestId: "a", initialJob })),
      ({ status }) => status,
    );
    expect([shown(), world.sockets.length]).toEqual(["completed", 0]);
  });

  it("wants setHookcast", () => {
    const setup = () => {
      useHookcast();
      return () => "";
    };
    expect(() => mount(Setup, { target: document.body, props: { setup } })).toThrow(/setHookcast/);
  });
});

it("setHookcast makes a client from its options", () => {
  let made: Hookcast | undefined;
  const setup = () => {
    made = setHookcast(world.options);
    expect(useHookcast()).toBe(made);
    return () => "";
  };
  component = mount(Setup, { target: document.body, props: { setup } });
  expect(made).toHaveProperty("watch");
});

it("useFalJobs has the jobs of a group, newest first", async () => {
  const group = await mounted(() => useFalJobs(() => "g"));
  world.socket.state("a", { group: "g", createdAt: "2026-11-23T10:00:00.000Z" });
  world.socket.state("b", { group: "g", createdAt: "2026-11-23T11:00:00.000Z" });
  expect([group.jobs.map(({ requestId }) => requestId), group.transport]).toEqual([["b", "a"], "websocket"]);
});

it("useMyJobs has pages of the history and live changes", async () => {
  const history = ["c", "b", "a"].map((id) => job(id, { owner: "user-1" }));
  world.answer = (url) => {
    const from = Number(url.searchParams.get("cursor") ?? 0);
    return json({ jobs: history.slice(from, from + 2), nextCursor: from === 0 ? "2" : null });
  };
  const mine = await mounted(
    () => useMyJobs(() => ({ owner: "user-1", limit: 2 })),
    ({ jobs }) => jobs.map(({ requestId }) => requestId).join(" "),
  );
  world.socket.state("d", { owner: "user-1" });
  expect([shown(), mine.hasMore]).toEqual(["d c b", true]);
  mine.loadMore();
  await pass(0);
  expect([shown(), mine.hasMore]).toEqual(["d c b a", false]);
});
