import { afterEach, describe, expect, it, vi } from "vitest";
import { AGAIN_MS } from "../../src/lib/client.js";
import { createHookcast, type Hookcast, type HookcastOptions, type Job } from "../../src/lib/index.js";
import { arrived } from "./browser.js";
import { fakeTime, job, json, pass, recorder, unhandled, World } from "./world.js";

const encode = (value: object) => btoa(JSON.stringify(value)).replaceAll("=", "");
const TOKEN = `${encode({ alg: "HS256" })}.${encode({ sub: "user-1", exp: 1 })}.signature`;
const CALLS = "../../src/lib/calls.js";
const LONG = { timeout: 60_000 }; // a busy machine takes long to read code anew

fakeTime();
let world: World;
let client: Hookcast;
afterEach(() => client.close());

function setUp(options: HookcastOptions = {}) {
  world = new World();
  client = createHookcast({ ...world.options, getToken: () => TOKEN, ...options });
  return recorder();
}

/** Return a job of the user. */
function mine(requestId: string, changes: Partial<Job> = {}): Job {
  return job(requestId, { owner: "user-1", ...changes });
}

/** Begin something whose code cannot be loaded, and wait until that has failed. */
async function withoutCode(begin: () => void): Promise<void> {
  const load = vi.fn(() => {
    throw new TypeError("Failed to fetch dynamically imported module");
  });
  vi.doMock(CALLS, load);
  begin();
  await vi.waitFor(() => expect(load).toHaveBeenCalled(), LONG);
  await arrived();
  vi.doUnmock(CALLS);
}

describe("watchMine", () => {
  it("watches the jobs of the user of the token, until it is stopped", async () => {
    const { seen, handlers } = setUp();
    const stop = client.watchMine(handlers);
    await vi.dynamicImportSettled();
    await pass(0);
    await world.socket.accept();
    world.socket.say({ type: "job", job: mine("a") });
    world.socket.say({ type: "job", job: mine("b", { owner: "user-2" }) });
    stop();
    world.socket.say({ type: "job", job: mine("a", { version: 2 }) });
    expect(seen).toEqual(["update a 1"]);
    await pass(50);
    expect(world.socket.sent.at(-1)).toMatchObject({ type: "unsubscribe", owners: ["user-1"] });
  });

  it("asks event streams and lists for the owner", async () => {
    const { seen, handlers } = setUp({ transports: ["sse", "poll"] });
    let history = [mine("a")];
    world.answer = ({ pathname }) => (pathname.endsWith("/events") ? undefined : json({ jobs: history }));
    const stop = client.watchMine({ ...handlers, owner: "user 1" });
    await vi.dynamicImportSettled();
    await pass(30_000);
    await arrived();
    expect(world.asked("/events?owner=user+1").length).toBeGreaterThan(0);
    expect(world.asked("?owner=user+1&order=updated&limit=200").length).toBeGreaterThan(0);
    expect(seen).toEqual([]);
    history = [mine("a", { owner: "user 1" })];
    await pass(10_000);
    expect(seen).toEqual(["update a 1"]);
    stop();
  });

  it("says that the token names no user, and asks again", async () => {
    const { seen, handlers } = setUp({ getToken: () => "an-api-key" });
    const stop = client.watchMine(handlers);
    await vi.dynamicImportSettled();
    await pass(AGAIN_MS);
    expect(seen).toEqual(["error owner_unknown", "error owner_unknown"]);
    stop();
    await pass(AGAIN_MS);
    expect([seen.length, world.sockets.length]).toEqual([2, 0]);
  });

  it("asks no more once the client is closed", async () => {
    const { seen, handlers } = setUp({ getToken: () => "an-api-key" });
    client.watchMine(handlers);
    await vi.dynamicImportSettled();
    await pass(0);
    client.close();
    await pass(AGAIN_MS);
    expect(seen).toEqual(["error owner_unknown"]);
  });

  it("may be stopped by what is told of the failure", async () => {
    const { seen, handlers } = setUp({ getToken: () => "an-api-key" });
    const controller = new AbortController();
    const onError = (error: { code: string }) => {
      handlers.onError(error);
      controller.abort();
    };
    client.watchMine({ ...handlers, onError, signal: controller.signal });
    await vi.dynamicImportSettled();
    await pass(AGAIN_MS);
    expect(seen).toEqual(["error owner_unknown"]);
  });

  it("begins once its code can be loaded", async () => {
    const { seen, handlers } = setUp();
    await withoutCode(() => client.watchMine(handlers));
    expect(seen).toEqual(["error network"]);
    await pass(AGAIN_MS);
    await vi.waitFor(() => world.socket, LONG);
    await world.socket.accept();
    expect(world.socket.sent.at(-1)).toMatchObject({ owners: ["user-1"] });
  });

  it("leaves no rejection behind that nobody handles when its code cannot be loaded", async () => {
    setUp();
    const found = await unhandled(async () => {
      await withoutCode(() => client.watchMine());
      client.close();
    });
    expect(found).toEqual([]);
  });
});
