import { describe, expect, it, vi } from "vitest";
import { arrived } from "./browser.js";
import { tabbing, tell, token } from "./tabbing.js";
import { fakeTime, job, json, pass } from "./world.js";

fakeTime();
const { context, opened, names } = tabbing();

describe("a tab for itself", () => {
  it.each([
    ["that does not want to share", { shareTabs: false }],
    ["with a fetch of its own", { shareTabs: undefined as never }],
  ])("%s has its own connection", async (_, options) => {
    await opened(1, ["a"], options);
    await opened(1, ["a"], options);
    expect(context.browser.sockets).toHaveLength(2);
    expect(names()).toEqual([]);
  });

  it.each(["BroadcastChannel", "document", "navigator"])(
    "in a place without %s has its own connection",
    async (name) => {
      vi.stubGlobal(name, undefined);
      await context.browser.open().watch(["a"]);
      await context.browser.open().watch(["a"]);
      expect(context.browser.sockets).toHaveLength(2);
    },
  );

  it("that could not load the code has its own connection", async () => {
    vi.doMock("../../src/lib/tabs/index.js", () => {
      throw new TypeError("Failed to fetch dynamically imported module");
    });
    const { leader } = await opened(2);
    vi.doUnmock("../../src/lib/tabs/index.js");
    expect(context.browser.sockets).toHaveLength(2);
    await tell(leader.world.socket, "a", { version: 2 });
    expect(leader.seen).toEqual(["update a 2"]);
  });

  it("whose origin may have no locks has its own connection", async () => {
    const query = vi.spyOn(context.browser.locks, "query").mockRejectedValue(new DOMException("", "SecurityError"));
    const { leader } = await opened(1);
    expect(query).toHaveBeenCalledOnce();
    await tell(leader.world.socket, "a", { version: 2 });
    expect(leader.seen).toEqual(["update a 2"]);
  });
});

describe("a tab that follows", () => {
  it.each(["crash", "hang"] as const)("and does a %s keeps its topics no longer than it lives", async (end) => {
    const { leader } = await opened(1);
    const tab = context.browser.open();
    await tab.watch(["b"]);
    await pass(50);
    expect(leader.world.socket.subscribed).toEqual(["a", "b"]);
    await tab[end]();
    await pass(100);
    const last = leader.world.socket.sent.at(-1);
    expect(last?.type).toBe(end === "crash" ? "unsubscribe" : "subscribe");
  });

  it("and needs no token of its own but to know whose it is asks for it once", async () => {
    const getToken = vi.fn(() => token({ sub: "u1", exp: 1 }));
    await opened(1, ["a"], { getToken });
    const calls = getToken.mock.calls.length;
    await context.browser.open().watch(["a"], { getToken });
    await pass(60_000);
    expect(getToken.mock.calls.length - calls).toBe(1);
  });
});

describe("identities", () => {
  it("share nothing, and their tokens stand in no name", async () => {
    const tokens = [token({ sub: "u1" }), token({ sub: "u2" }), "key-1", "key-2", null];
    for (const each of tokens) await context.browser.open().watch(["a"], { getToken: () => each });
    expect(context.browser.sockets).toHaveLength(5);
    for (const name of names()) expect(name).toMatch(/^hookcast:2:[0-9a-f]{64}(:[0-9a-f-]{36})?$/);
  });

  it("are the same after a renewal, whatever changed that opens nothing", async () => {
    const renewals = [1, 2].map((n) => token({ exp: n, iat: n, nbf: n, jti: `${n}`, sub: "u1", fva: [n, -1] }));
    for (const each of renewals) await context.browser.open().watch(["a"], { getToken: () => each });
    expect(context.browser.sockets).toHaveLength(1);
  });

  it("of a token that opens other jobs are others", async () => {
    for (const jobs of [["a"], ["b"]])
      await context.browser.open().watch(["a"], { getToken: () => token({ sub: "u1", jobs }) });
    expect(context.browser.sockets).toHaveLength(2);
  });

  it("that change with a renewed token change the share, and no state crosses over", async () => {
    const users = ["u1", "u2"];
    const getToken = vi.fn(() => token({ sub: users.shift() ?? "u2" }));
    const [first, second] = [context.browser.open(), context.browser.open()];
    await first.watch(["a"], { getToken: () => token({ sub: "u1" }) });
    await first.world.socket.accept();
    const client = await second.watch(["a"], { getToken });
    await pass(50);
    await tell(first.world.socket, "a", { version: 1 });
    expect(second.seen).toEqual(["update a 1"]);
    second.world.answer = (_, { headers }) =>
      headers.get("Authorization")?.includes(token({ sub: "u2" })) ? json(job("x")) : json({}, 401);
    await second.run(() => client.get("x"));
    await arrived();
    await tell(first.world.socket, "a", { version: 2 });
    expect(second.seen).toEqual(["update a 1"]);
    expect(second.world.sockets).toHaveLength(1);
    await second.world.socket.accept();
    expect(second.world.socket.sent.at(0)).toMatchObject({ token: token({ sub: "u2" }) });
  });

  it("that change under the tab that leads close its connection, with the new token unsaid", async () => {
    const users = ["u1", "u2"];
    const [first, second] = [context.browser.open(), context.browser.open()];
    await first.watch(["a"], { getToken: () => token({ sub: users.shift() ?? "u2" }) });
    const old = first.world.socket;
    await old.accept();
    await second.watch(["a"], { getToken: () => token({ sub: "u1" }) });
    old.say({ type: "token-expiring" });
    await arrived();
    await pass(50);
    expect(old.readyState).toBe(3);
    expect(JSON.stringify(old.sent)).not.toContain(token({ sub: "u2" }));
    expect([first.world.sockets.length, second.world.sockets.length]).toEqual([2, 1]);
  });

  it("that are not known yet, since getToken failed, are asked for again", async () => {
    const tab = context.browser.open();
    const getToken = vi.fn(async () => "key").mockRejectedValueOnce(new Error("offline"));
    await tab.watch(["a"], { getToken });
    expect([tab.seen, context.browser.sockets]).toEqual([["error token_failed"], []]);
    await pass(10_000);
    await arrived();
    expect(context.browser.sockets).toHaveLength(1);
  });
});
