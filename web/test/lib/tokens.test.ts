import { afterEach, describe, expect, it, vi } from "vitest";
import { createHookcast, type Hookcast, type HookcastOptions } from "../../src/lib/index.js";
import { FakeStream, fakeTime, job, json, pass, recorder, settled, unhandled, World } from "./world.js";

fakeTime();
let client: Hookcast | undefined;
afterEach(() => client?.close());

function setUp(options: HookcastOptions = {}) {
  const world = new World();
  client = createHookcast({ ...world.options, ...options });
  return { world, client, ...recorder() };
}

async function live(options: HookcastOptions = {}) {
  const all = setUp(options);
  all.client.watch("a", all.handlers);
  await pass(0);
  await all.world.socket.accept();
  return all;
}

/** The server says that the token does not open the job, which is made later: then the page reads it. */
async function notYetVisible() {
  const all = await live({ getToken: () => "token" });
  let made = false;
  all.world.answer = ({ pathname }) => (made && !pathname.endsWith("/events") ? json(job("a")) : json({}, 404));
  all.world.socket.say({ type: "error", code: "forbidden", message: "", requestIds: ["a"] });
  return { ...all, make: () => (made = true) };
}

describe("getToken", () => {
  const failing = () => {
    throw new Error("not signed in");
  };

  it("that fails without a promise is asked again", async () => {
    const getToken = vi.fn(() => "token").mockImplementationOnce(failing);
    const { world, client } = setUp({ getToken });
    world.answer = () => json(job("a"));
    await expect(client.get("a")).rejects.toMatchObject({ code: "token_failed" });
    expect((await client.get("a")).version).toBe(1);
    expect(getToken).toHaveBeenCalledTimes(2);
  });

  it("that fails leaves no rejection behind that nobody handles", async () => {
    const found = await unhandled(async () => {
      await expect(setUp({ getToken: failing }).client.get("a")).rejects.toThrow();
      await pass(30_000);
    });
    expect(found).toEqual([]);
  });

  it.each(["websocket", "sse", "long-poll", "poll"] as const)(
    "that fails from the start is told, and %s is not to blame",
    async (transport) => {
      const getToken = vi.fn(async () => "token").mockImplementation(failing);
      const { client, world, seen, transports, handlers } = setUp({ getToken, transports: [transport] });
      client.watch("a", handlers);
      await pass(60_000);
      expect(new Set(seen)).toEqual(new Set(["error token_failed"]));
      expect([world.sockets, world.calls, transports]).toEqual([[], [], ["connecting"]]);
      expect(getToken.mock.calls.length).toBeLessThan(14);
    },
  );

  it("that fails to renew a token is told while polling, too", async () => {
    const getToken = vi
      .fn(async () => "token")
      .mockImplementation(failing)
      .mockResolvedValueOnce("first");
    const { client, world, seen, handlers } = setUp({ getToken, transports: ["poll"] });
    world.answer = () => json({ code: "token_expired" }, 401);
    client.watch("a", handlers);
    await pass(60_000);
    expect(new Set(seen)).toEqual(new Set(["error token_failed", "error token_expired"]));
  });

  it("that is still asked when a watch is added makes one connection, which is told", async () => {
    let give = (_: string) => {};
    const waiting = new Promise<string>((resolve) => (give = resolve));
    const getToken = vi.fn((): string | Promise<string> => waiting).mockReturnValueOnce("first");
    const { world, client, transports } = await live({ getToken });
    await world.socket.drop(4501);
    client.watch("b");
    await pass(50);
    give("second");
    await settled();
    await world.socket.accept();
    expect([transports.at(-1), world.sockets.length, getToken.mock.calls.length]).toEqual(["websocket", 2, 2]);
  });

  it("that answers with the same token makes no storm when the server says that it expires", async () => {
    const { world, client } = setUp({ getToken: () => "cached", transports: ["sse"] });
    world.answer = () => {
      const stream = new FakeStream();
      setTimeout(() => void stream.write("event: token-expiring\ndata: {}\n\n"), 100);
      return stream;
    };
    client.watch("a");
    await pass(30_000);
    expect(world.calls.length).toBeLessThan(5);
  });
});

describe("a page without getToken", () => {
  it("is told to pass it where the server asks for a token", async () => {
    const { world, client } = setUp();
    const told: string[] = [];
    client.watch("a", { onError: ({ code, message }) => void told.push(`${code}: ${message}`) });
    await pass(0);
    await world.socket.drop(4501);
    expect(told).toEqual(["unauthorized: No token: pass `getToken`."]);
  });
});

describe("what the token does not open", () => {
  it("is found by polling after the connection was silent", async () => {
    const { make, seen, transports } = await notYetVisible();
    await pass(41_000);
    make();
    await pass(600_000);
    expect([seen, transports.at(-1)]).toEqual([["error not_visible", "update a 1"], "long-poll"]);
  });

  it("is asked for again by a connection that is opened anew", async () => {
    const page = new EventTarget();
    vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
    const { world } = await notYetVisible();
    page.dispatchEvent(new Event("online"));
    await settled();
    await world.socket.accept();
    expect(world.sockets.map(({ subscribed }) => subscribed)).toEqual([["a"], ["a"]]);
  });

  it("is told in a sentence with what to change", async () => {
    const { world, client } = await live({ getToken: () => "token" });
    const told: string[] = [];
    client.watch("b", { onError: ({ message }) => void told.push(message) });
    await pass(50);
    world.socket.say({ type: "error", code: "forbidden", message: "", requestIds: ["b"] });
    expect(told).toEqual(["The token's `sub`, `jobs` and `groups` do not show it."]);
  });

  const group = async () => {
    let count = 0;
    const all = setUp({ getToken: () => `token ${count++}` });
    all.client.watchGroup("g", all.handlers);
    await pass(0);
    await all.world.socket.accept();
    all.world.socket.say({ type: "error", code: "forbidden", message: "", requestIds: [], groups: ["g"] });
    await settled();
    return all;
  };

  it("is told of a group, too", async () => {
    expect((await group()).seen).toEqual(["error not_visible"]);
  });

  it("is asked for again with a newer token, if it is a group, too", async () => {
    const { world } = await group();
    world.socket.say({ type: "token-expiring" });
    await pass(100);
    expect(world.socket.sent.flatMap(({ groups }) => groups)).toEqual(["g", "g"]);
  });
});
