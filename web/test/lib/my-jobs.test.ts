// @vitest-environment happy-dom

import { act, createElement, StrictMode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createHookcast, type Hookcast, type HookcastOptions, type Job } from "../../src/lib/index.js";
import { HookcastProvider } from "../../src/lib/react/index.js";
import { type MyJobs, type MyJobsOptions, useMyJobs } from "../../src/lib/react/my-jobs.js";
import { arrived, browsing } from "./browser.js";
import { fakeTime, job, json, pass, recorder, World } from "./world.js";

const encode = (value: object) => btoa(JSON.stringify(value)).replaceAll("=", "");
const TOKEN = `${encode({ alg: "HS256" })}.${encode({ sub: "user-1", exp: 1 })}.signature`;

fakeTime();
let root: Root;
let world: World;
let client: Hookcast;
let found: MyJobs | undefined;
/** What the server has, newest first. */
let history: Job[];

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  root = createRoot(document.createElement("div"));
  history = [];
});
afterEach(async () => {
  await act(async () => root.unmount());
  client.close();
  await vi.runOnlyPendingTimersAsync();
});

/** Return a job of the user, made in this minute. */
function mine(requestId: string, minute: number, changes: Partial<Job> = {}): Job {
  return job(requestId, {
    owner: "user-1",
    createdAt: `2026-11-23T10:${String(minute).padStart(2, "0")}:00.000Z`,
    ...changes,
  });
}

function setUp(options: HookcastOptions = {}): void {
  world = new World();
  client = createHookcast({ ...world.options, getToken: () => TOKEN, ...options });
  world.answer = (url) => {
    if (url.pathname.endsWith("/events")) return undefined;
    const { cursor = "0", limit = "50" } = Object.fromEntries(url.searchParams);
    const end = Number(cursor) + Number(limit);
    return json({ jobs: history.slice(Number(cursor), end), nextCursor: end < history.length ? String(end) : null });
  };
}

function List(options: MyJobsOptions) {
  found = useMyJobs(options);
  return found.jobs.map(({ requestId }) => requestId).join(" ");
}

async function show(options: MyJobsOptions = {}): Promise<void> {
  const node = createElement(HookcastProvider, { client }, createElement(List, options));
  await act(async () => root.render(createElement(StrictMode, null, node)));
  for (let turn = 0; turn < 4; turn += 1) {
    await act(() => vi.dynamicImportSettled());
    await act(() => pass(0));
  }
}

async function live(options: MyJobsOptions = {}): Promise<void> {
  await show(options);
  await act(() => world.socket.accept());
}

async function state(job: Job): Promise<void> {
  await act(async () => world.socket.say({ type: "job", job }));
}

async function more(): Promise<void> {
  await act(async () => found?.loadMore());
  await act(() => pass(0));
}

const shown = () => found?.jobs.map(({ requestId, version }) => `${requestId}${version}`).join(" ");
const asked = () => world.asked("?owner").map(({ url }) => url.search);

describe("useMyJobs", () => {
  it("shows the first page of the user of the token, and what changes", async () => {
    setUp();
    history = [mine("c", 3), mine("b", 2), mine("a", 1)];
    await live({ limit: 2 });
    expect(asked().at(-1)).toBe("?owner=user-1&limit=2");
    expect(world.socket.sent.at(-1)).toMatchObject({ type: "subscribe", owners: ["user-1"] });
    expect(found).toMatchObject({ hasMore: true, isLoading: false, error: null, transport: "websocket" });
    expect(shown()).toBe("c1 b1");
    await state(mine("b", 2, { version: 2, status: "completed" }));
    await state(mine("d", 4));
    expect(shown()).toBe("d1 c1 b2");
  });

  it("shows jobs of the history when their page is loaded, and not before", async () => {
    setUp();
    history = [mine("c", 3), mine("b", 2), mine("a", 1)];
    await live({ limit: 1 });
    await state(mine("a", 1, { version: 2 }));
    await state(mine("b", 2, { version: 2 }));
    expect(shown()).toBe("c1");
    history = [mine("c", 3), mine("b", 2, { version: 2 }), mine("a", 1, { version: 2 })];
    await more();
    expect(shown()).toBe("c1 b2");
    await more();
    expect(found).toMatchObject({ hasMore: false, isLoading: false });
    expect(shown()).toBe("c1 b2 a2");
    await more();
    expect(asked().filter((search) => search.includes("cursor"))).toHaveLength(2);
  });

  it("pages without gaps or doubles while jobs come in", async () => {
    setUp();
    history = [mine("d", 4), mine("c", 3), mine("b", 2), mine("a", 1)];
    await live({ limit: 2 });
    for (const [at, id] of ["x", "y", "z"].entries()) await state(mine(id, 10 + at));
    await more();
    expect(shown()).toBe("z1 y1 x1 d1 c1 b1 a1");
  });

  it("drops a state that is older than the one it shows", async () => {
    setUp();
    history = [mine("a", 1, { version: 3 })];
    await live();
    await state(mine("a", 1, { version: 2 }));
    expect(shown()).toBe("a3");
  });

  it("reports ends that come while it is there, not those of the history", async () => {
    setUp();
    const { seen, handlers } = recorder();
    history = [mine("b", 2), mine("a", 1, { status: "completed" })];
    await live(handlers);
    await state(mine("a", 1, { status: "completed", version: 2 }));
    await state(mine("b", 2, { status: "failed", version: 2 }));
    await state(mine("b", 2, { status: "failed", version: 3 }));
    await state(mine("new", 9, { status: "completed", version: 5 }));
    expect(seen).toEqual(["failed b 2", "completed new 5"]);
  });

  it("says why a page could not be loaded, and loads it when it is connected", async () => {
    setUp();
    history = [mine("a", 1)];
    const { answer } = world;
    world.answer = () => json({ code: "store_unavailable", detail: "The database is away." }, 503);
    await show();
    expect(found).toMatchObject({ isLoading: false, error: { code: "store_unavailable" } });
    world.answer = answer;
    await act(() => world.socket.accept());
    await act(() => pass(0));
    expect(found).toMatchObject({ isLoading: false, error: null });
    expect(shown()).toBe("a1");
  });

  it("asks for the first page until there is one, also while it is connected", async () => {
    setUp();
    history = [mine("a", 1)];
    const { answer } = world;
    world.answer = () => json({ code: "store_unavailable", detail: "The database is away." }, 503);
    await live();
    await state(mine("b", 2));
    expect(found).toMatchObject({ isLoading: false, error: { code: "store_unavailable" }, transport: "websocket" });
    const before = asked().length;
    await act(() => pass(15_000));
    expect(asked().length).toBe(before + 1);
    expect(found).toMatchObject({ isLoading: false, error: { code: "store_unavailable" } });
    world.answer = answer;
    await act(() => pass(15_000));
    expect(found).toMatchObject({ isLoading: false, error: null });
    expect(shown()).toBe("b1 a1");
  });

  it("shows its error while it asks again", async () => {
    setUp();
    world.answer = () => json({ code: "store_unavailable", detail: "The database is away." }, 503);
    await live();
    world.answer = () => null;
    await act(() => pass(15_000));
    expect(found).toMatchObject({ isLoading: true, error: { code: "store_unavailable" } });
  });

  it("begins with a page that a server rendered, and asks for no other", async () => {
    setUp();
    history = [mine("b", 2), mine("a", 1)];
    const initialPage = { jobs: [mine("b", 2)], nextCursor: "1" };
    const node = createElement(HookcastProvider, { client }, createElement(List, { initialPage, limit: 1 }));
    expect(renderToString(node)).toBe("b");
    const { seen, handlers } = recorder();
    await live({ initialPage, limit: 1, ...handlers });
    expect(asked()).toEqual([]);
    await state(mine("b", 2, { version: 2, status: "completed" }));
    expect(seen).toEqual(["completed b 2"]);
    await more();
    expect(shown()).toBe("b2 a1");
  });

  it("begins anew for another owner", async () => {
    setUp();
    history = [mine("a", 1)];
    await live({ owner: "user-1" });
    history = [mine("b", 2, { owner: "user-2" })];
    await show({ owner: "user-2" });
    await act(() => pass(50));
    expect(asked().at(-1)).toBe("?owner=user-2&limit=20");
    expect(world.socket.sent.at(-1)).toMatchObject({ type: "subscribe", owners: ["user-2"] });
    expect(shown()).toBe("b1");
  });

  it("watches nothing while it is not enabled", async () => {
    setUp();
    await show({ enabled: false });
    expect([found?.isLoading, world.sockets.length, asked().length]).toEqual([false, 0, 0]);
  });
});

describe("tabs", () => {
  const context = browsing();

  it("share one subscription to the jobs of a user, and a later one is told what is known", async () => {
    setUp();
    const [one, two] = [context.browser.open(), context.browser.open()];
    for (const tab of [one, two]) {
      const client = tab.client({ getToken: () => TOKEN });
      tab.run(() => client.watchMine(tab.record.handlers));
      await arrived();
      await arrived();
      await pass(100);
      const [socket] = one.world.sockets;
      if (tab === one) await socket?.accept();
      if (tab === one) socket?.say({ type: "job", job: mine("a", 1) });
      await arrived();
    }
    expect([one.world.sockets.length, two.world.sockets.length]).toEqual([1, 0]);
    one.world.socket.say({ type: "job", job: mine("b", 2) });
    await arrived();
    expect([one.seen, two.seen]).toEqual([
      ["update a 1", "update b 1"],
      ["update a 1", "update b 1"],
    ]);
  });
});
