import { afterEach, describe, expect, it, vi } from "vitest";
import { createHookcast, type Hookcast, type HookcastOptions } from "../../src/lib/index.js";
import { fakeTime, job, json, pass, recorder, World } from "./world.js";

fakeTime();
let client: Hookcast | undefined;
afterEach(() => client?.close());

function setUp(options: HookcastOptions = {}) {
  const world = new World();
  client = createHookcast({ ...world.options, ...options });
  return { world, client };
}

async function live(options: HookcastOptions = {}) {
  const { world, client } = setUp(options);
  const record = recorder();
  const stop = client.watch("a", record.handlers);
  await pass(0);
  await world.socket.accept();
  return { world, client, stop, ...record };
}

describe("a WebSocket", () => {
  it("closed as unused (1000) is opened again, and asks for the same", async () => {
    const { world, client } = setUp();
    client.watch("a");
    await pass(0);
    await world.socket.accept();
    for (let second = 0; second < 60; second += 15) {
      await pass(15_000);
      world.socket.say({ type: "ping" });
    }
    expect(world.sockets).toHaveLength(1);
    await world.socket.drop(1000);
    await pass(1_000);
    await world.socket.accept();
    expect([world.sockets.length, world.socket.subscribed]).toEqual([2, ["a"]]);
  });

  it("carries all watches of a page", async () => {
    const { world, client } = await live();
    client.watch("b");
    client.watchGroup("g");
    await pass(50);
    expect(world.sockets).toHaveLength(1);
    expect(world.socket).toMatchObject({ url: "wss://hooks.test/base/api/fal-jobs/ws", protocol: "hookcast.v1" });
    expect(world.socket.sent).toEqual([
      { type: "subscribe", requestIds: ["a"], groups: [] },
      { type: "subscribe", requestIds: ["b"], groups: ["g"] },
    ]);
  });

  it("names at most 200 jobs a message", async () => {
    const { world, client } = setUp();
    for (let n = 0; n < 450; n += 1) client.watch(`job-${n}`);
    await pass(0);
    await world.socket.accept();
    expect(world.socket.sent.map(({ requestIds }) => (requestIds as string[]).length)).toEqual([200, 200, 50]);
  });

  it("shows each newer state, drops old and repeated ones, and tells the end once", async () => {
    const { world, seen } = await live();
    for (const version of [2, 1, 2, 3]) world.socket.state("a", { version });
    world.socket.state("a", { version: 4, status: "completed" });
    world.socket.state("a", { version: 5, status: "completed" });
    expect(seen).toEqual(["update a 2", "update a 3", "update a 4", "completed a 4"]);
  });

  it("is closed when nothing is watched any more, and opened again for the next watch", async () => {
    const { world, client } = await live();
    world.socket.state("a", { version: 4, status: "failed" });
    await pass(50);
    expect(world.socket.readyState).toBe(3);
    client.watch("b");
    await pass(0);
    expect(world.sockets).toHaveLength(2);
  });

  it("forgets a watch that was stopped, whose callbacks stay silent", async () => {
    const { world, client, stop, seen } = await live();
    client.watch("b");
    stop();
    world.socket.state("a", { version: 2 });
    await pass(50);
    expect(world.socket.sent.at(-2)).toEqual({ type: "unsubscribe", requestIds: ["a"], groups: [] });
    expect(seen).toEqual([]);
  });

  it("that does not begin within five seconds gives way to SSE", async () => {
    const { world } = setUp();
    const { transports, handlers } = recorder();
    client?.watch("a", handlers);
    await pass(5_000);
    expect(world.asked("/events?requestId=a")).toHaveLength(1);
    expect(world.socket.readyState).toBe(3);
    expect(transports).toEqual(["connecting"]);
  });

  it("that is silent for 2.5 heartbeats gives way to SSE, one that pings does not", async () => {
    const { world } = await live();
    for (let n = 0; n < 5; n += 1) {
      await pass(15_000);
      world.socket.say({ type: "ping" });
    }
    expect(world.asked("/events")).toHaveLength(0);
    await pass(40_000);
    expect(world.asked("/events")).toHaveLength(1);
  });

  it("that cannot connect three times gives way to SSE", async () => {
    const { world } = setUp();
    client?.watch("a");
    await pass(0);
    await world.socket.drop();
    await pass(1_000);
    await world.socket.drop();
    await pass(2_000);
    expect(world.asked("/events")).toHaveLength(0);
    await world.socket.drop();
    expect(world.sockets).toHaveLength(3);
    expect(world.asked("/events")).toHaveLength(1);
  });

  it("comes back after the time that a restarting server names", async () => {
    const { world } = await live();
    await pass(20_000);
    world.socket.say({ type: "reconnect", afterMs: 4_200 });
    await world.socket.drop(1012);
    await pass(4_199);
    expect(world.sockets).toHaveLength(1);
    await pass(1);
    expect(world.sockets).toHaveLength(2);
  });

  it("comes back within a second when it was rotated", async () => {
    const { world } = await live();
    await pass(20_000);
    await world.socket.drop(4002);
    await pass(1_000);
    expect(world.sockets).toHaveLength(2);
  });

  it.each([4503, 4504, 4999])("is never used again after a close %i", async (code) => {
    const { world } = await live();
    await world.socket.drop(code);
    expect(world.asked("/events")).toHaveLength(1);
    await pass(120_000);
    expect(world.sockets).toHaveLength(1);
  });

  it("brings the digits of numbers beyond 2^53 as text", async () => {
    const { rawJson } = await import("../../src/lib/index.js");
    const { world, client } = setUp();
    const raws: (string | undefined)[] = [];
    client.watch("a", { onUpdate: (job) => void raws.push(rawJson(job)) });
    await pass(0);
    await world.socket.accept();
    const text = JSON.stringify(job("a")).replace('"result":null', '"result":{"seed":9007199254740993123}');
    world.socket.onmessage?.({ data: `{"type":"job","job":${text}}` });
    expect(raws).toEqual([text]);
  });
});

describe("the token of a WebSocket", () => {
  it("is sent with every subscription, and asked for once", async () => {
    const getToken = vi.fn(async () => "t1");
    const { world, client } = await live({ getToken });
    client.watch("b");
    await pass(50);
    expect(world.socket.sent.map(({ token }) => token)).toEqual(["t1", "t1"]);
    expect(world.socket.url).not.toContain("t1");
    expect(getToken).toHaveBeenCalledTimes(1);
  });

  it("is renewed in place when it is about to expire", async () => {
    const getToken = vi.fn().mockResolvedValueOnce("t1").mockResolvedValueOnce("t2");
    const { world } = await live({ getToken });
    world.socket.say({ type: "token-expiring" });
    await pass(0);
    expect(world.sockets).toHaveLength(1);
    expect(world.socket.sent.at(-1)).toEqual({ type: "subscribe", requestIds: [], groups: [], token: "t2" });
  });

  it.each([4501, 4502])("is asked for again after a close %i", async (code) => {
    const getToken = vi.fn().mockResolvedValueOnce("t1").mockResolvedValueOnce("t2");
    const { world } = await live({ getToken });
    await world.socket.drop(code);
    await pass(0);
    expect(world.sockets).toHaveLength(2);
    await world.socket.accept();
    expect(world.socket.sent[0]).toMatchObject({ requestIds: ["a"], token: "t2" });
  });

  it("that cannot be had is told, and asked for again after pauses", async () => {
    const getToken = vi
      .fn()
      .mockResolvedValueOnce("t1")
      .mockRejectedValueOnce(new Error("away"))
      .mockResolvedValue("t2");
    const { world, seen } = await live({ getToken });
    await world.socket.drop(4502);
    await pass(0);
    expect(seen).toEqual(["error token_failed"]);
    await pass(2_000);
    expect(world.sockets).toHaveLength(2);
  });

  it("that is wanted where there is no getToken is told, and nothing is tried before a new watch", async () => {
    const { world, client, seen } = await live();
    world.answer = () => json({ code: "unauthorized", detail: "Send a token." }, 401);
    await world.socket.drop(4501);
    await pass(60_000);
    expect(new Set(seen)).toEqual(new Set(["error unauthorized"]));
    expect(world.sockets).toHaveLength(1);
    const before = seen.length;
    client.watch("b");
    await pass(50);
    expect(seen.slice(before)).toEqual(["error unauthorized"]);
  });

  it("that does not open a job is told, and the job asked for gently until it may be seen", async () => {
    const { world, seen } = await live();
    const answers = [json({ code: "job_not_found" }, 404), json(job("a"))];
    world.answer = (url) => (url.pathname.endsWith("/a") ? answers.shift() : undefined);
    world.socket.say({ type: "error", code: "forbidden", message: "", requestIds: ["a"] });
    await pass(0);
    expect(seen).toEqual(["error not_visible"]);
    await pass(14_000);
    expect(world.asked("/a")).toHaveLength(1);
    world.socket.say({ type: "ping" });
    await pass(1_000);
    expect(seen).toEqual(["error not_visible", "update a 1"]);
    expect(world.socket.subscribed).toEqual(["a", "a"]);
  });

  it("that does not open a job has it asked for on and on, every 15 s, though requests fail", async () => {
    const { world, seen } = await live();
    world.socket.say({ type: "error", code: "forbidden", message: "", requestIds: ["a"] });
    await pass(29_999);
    expect(world.calls).toHaveLength(2);
    world.answer = () => json(job("a"));
    await pass(1);
    expect(seen).toEqual(["error not_visible", "update a 1"]);
  });
});

describe("a lower transport", () => {
  it("is left for the better one as soon as that gives a sign of life, not before", async () => {
    const { world } = setUp();
    const { transports, handlers } = recorder();
    world.answer = (url) => (url.pathname.endsWith("/events") ? json({}, 404) : json(job("a")));
    client?.watch("a", handlers);
    await pass(0);
    for (const ms of [1_000, 2_000, 0]) {
      await world.socket.drop();
      await pass(ms);
    }
    expect(transports.at(-1)).toBe("long-poll");
    await pass(7_500);
    expect(world.sockets).toHaveLength(4);
    expect(transports.at(-1)).toBe("long-poll");
    await world.socket.accept();
    expect(transports.at(-1)).toBe("websocket");
    expect(world.socket.subscribed).toEqual(["a"]);
    const asked = world.calls.length;
    await pass(10_000);
    expect(world.calls).toHaveLength(asked);
  });
});
