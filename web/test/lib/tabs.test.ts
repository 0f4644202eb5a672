import { describe, expect, it } from "vitest";
import { rawJson } from "../../src/lib/index.js";
import { arrived, type Tab } from "./browser.js";
import { tabbing, tell } from "./tabbing.js";
import { type FakeSocket, fakeTime, job, json, pass, recorder } from "./world.js";

fakeTime();
const { context, opened, newSocket, names } = tabbing();

describe("tabs", () => {
  it("share one connection, and each sees every state and how it comes", async () => {
    const { tabs, leader } = await opened(3);
    expect(context.browser.sockets).toHaveLength(1);
    expect(tabs.map(({ transport }) => transport)).toEqual(Array(3).fill("websocket"));
    await tell(leader.world.socket, "a", { version: 2 });
    const posted = context.browser.posted.length;
    await tell(leader.world.socket, "a", { version: 2 });
    expect(context.browser.posted).toHaveLength(posted);
    await tell(leader.world.socket, "a", { version: 3, status: "completed" });
    for (const { seen } of tabs) expect(seen).toEqual(["update a 2", "update a 3", "completed a 3"]);
  });

  it("watch all that any of them watches, until the last one does no more", async () => {
    const { leader, follower } = await opened(2);
    const client = await follower.watch(["b"]);
    const stop = follower.run(() => client.watch("a"));
    await pass(100);
    expect(leader.world.socket.subscribed).toEqual(["a", "b"]);
    follower.run(stop);
    client.close();
    await pass(100);
    expect(leader.world.socket.sent.at(-1)).toMatchObject({ type: "unsubscribe", requestIds: ["b"] });
  });

  it("that come later are told at once what is known, and what stands in the way", async () => {
    const { leader } = await opened(2);
    await tell(leader.world.socket, "a", { version: 4 });
    const [late, other] = [context.browser.open(), context.browser.open()];
    await late.watch(["a", "secret"]);
    expect(late.seen).toEqual(["update a 4"]);
    await pass(100);
    leader.world.socket.say({ type: "error", code: "forbidden", requestIds: ["secret"] });
    await arrived();
    await other.watch(["secret"]);
    expect(late.seen).toEqual(["update a 4", "error not_visible"]);
    expect(other.seen).toEqual(["error not_visible"]);
    await tell(leader.world.socket, "secret", {});
    const last = context.browser.open();
    await last.watch(["secret"]);
    expect(last.seen).toEqual(["update secret 1"]);
  });

  it("get a state as the text that came, and only those that watch its job", async () => {
    const { leader, follower } = await opened(2, ["a"]);
    const third = context.browser.open();
    await third.watch(["b"]);
    const found: (string | undefined)[] = [];
    const client = follower.client();
    follower.run(() => client.watch("a", { onUpdate: (job) => void found.push(rawJson(job)) }));
    await pass(100);
    context.browser.posted.length = 0;
    const text = JSON.stringify(job("a")).replace('"result":null', '"result":9007199254740993123');
    leader.world.socket.receive(`{"type":"job","job":${text}}`);
    await arrived();
    expect(found).toEqual([text]);
    const to = new Set(context.browser.posted.map(({ name }) => name));
    expect(to.size).toBe(2); // the two clients of the second tab
    expect(third.seen).toEqual([]);
  });

  it("ask as often as the most impatient of them wishes", async () => {
    const poll = { transports: ["poll"] as const };
    const [first, second] = [context.browser.open(), context.browser.open()];
    first.world.answer = () => json(job("a"));
    await first.watch(["a"], poll);
    const client = second.client(poll);
    second.run(() => client.watch("a", { pollInterval: 500 }));
    await pass(3_000);
    const before = first.world.calls.length;
    await pass(5_000);
    expect(first.world.calls.length - before).toBe(10);
    expect(second.world.calls).toHaveLength(0);
  });

  it("that watch nothing any more leave, but not before those that live on their connection", async () => {
    const { leader } = await opened(1);
    const other = context.browser.open();
    await other.watch(["b"]);
    await pass(50);
    await tell(leader.world.socket, "a", { version: 2, status: "completed" });
    await pass(25_000);
    expect(other.world.sockets).toEqual([]);
    await tell(leader.world.socket, "b", { version: 2, status: "completed" });
    expect(other.seen).toEqual(["update b 2", "completed b 2"]);
    await pass(50);
    expect(context.browser.channels.get(other)?.size).toBe(0);
    await pass(10_000);
    expect([...context.browser.locks.requests.values()].flat()).toEqual([]);
    expect([...context.browser.channels.values()].every(({ size }) => size === 0)).toBe(true);
  });

  it("of other options are left alone", async () => {
    await opened(1);
    for (const options of [{ transports: ["websocket"] as const }, { heartbeatSeconds: 3 }, { url: "https://b.test" }])
      await context.browser.open().watch(["a"], options);
    expect(context.browser.sockets).toHaveLength(4);
  });
});

describe("a tab that leads", () => {
  const ends: [string, (leader: Tab) => unknown][] = [
    ["closes its client", (leader) => leader.closeAll()],
    ["crashes", (leader) => leader.crash()],
    ["is left", (leader) => leader.fire("pagehide")],
    ["is frozen", (leader) => leader.fire("freeze")],
  ];
  it.each(ends)("and %s is followed by another one, which misses nothing", async (_, end) => {
    const { leader, others } = await opened(3, ["a", "b"]);
    await tell(leader.world.socket, "a", { version: 2 });
    await end(leader);
    const socket = await newSocket();
    expect(leader.world.sockets).not.toContain(socket);
    expect(new Set(socket.subscribed)).toEqual(new Set(["a", "b"]));
    await tell(socket, "a", { version: 2 });
    await tell(socket, "a", { version: 3, status: "completed" });
    for (const { seen } of others) expect(seen).toEqual(["update a 2", "update a 3", "completed a 3"]);
  });

  it("and is hidden keeps leading, unless it is to pause", async () => {
    const { leader } = await opened(2);
    leader.hidden = true;
    leader.fire("visibilitychange");
    await pass(50);
    expect(leader.world.socket.readyState).toBe(1);
    await opened(2, ["a"], { whenHidden: "pause" }).then(async ({ leader, follower }) => {
      leader.hidden = true;
      leader.fire("visibilitychange");
      await pass(50);
      expect([leader.transport, leader.world.socket.readyState]).toEqual(["paused", 3]);
      expect(follower.world.sockets).toHaveLength(1);
    });
  });

  it("is none that is hidden from the start and is to pause", async () => {
    const tab = context.browser.open();
    tab.hidden = true;
    await tab.watch(["a"], { whenHidden: "pause" });
    expect([tab.transport, context.browser.sockets, names()]).toEqual(["paused", [], []]);
    tab.hidden = false;
    tab.fire("visibilitychange");
    await arrived();
    expect(context.browser.sockets).toHaveLength(1);
  });

  it("holds no lock and no channel while it is left, and is one of them again when it is back", async () => {
    const { leader, follower } = await opened(2);
    leader.fire("pagehide");
    await arrived();
    expect([...context.browser.locks.requests.values()].flat().filter(({ tab }) => tab === leader)).toEqual([]);
    expect(context.browser.channels.get(leader)?.size).toBe(0);
    await tell(await newSocket(), "a", { version: 5 });
    leader.fire("pageshow");
    await pass(50);
    expect(leader.seen).toEqual(["update a 5"]);
    expect(follower.world.sockets).toHaveLength(1);
    expect(context.browser.sockets).toHaveLength(1);
  });

  it("and hangs is robbed, and steps down when it goes on", async () => {
    const { leader, others } = await opened(3);
    leader.hang();
    await pass(16_000);
    const [old, socket] = context.browser.sockets as [FakeSocket, FakeSocket];
    await socket.accept();
    await pass(50);
    await tell(socket, "a", { version: 2 });
    for (const { seen } of others) expect(seen).toEqual(["update a 2"]);
    await leader.goOn();
    await pass(50);
    expect([old.readyState, context.browser.sockets]).toEqual([3, [socket]]);
    expect(leader.seen).toEqual(["update a 2"]);
    await tell(socket, "a", { version: 3, status: "failed" });
    for (const { seen } of [leader, ...others]) expect(seen).toEqual(["update a 2", "update a 3", "failed a 3"]);
  });

  it("and answers late is not robbed", async () => {
    const { leader, follower } = await opened(2);
    leader.hang();
    follower.fire("visibilitychange");
    await pass(4_000);
    await leader.goOn();
    await pass(5_000);
    expect(context.browser.tabs.flatMap(({ world }) => world.sockets)).toHaveLength(1);
  });

  it("and answers is never robbed", async () => {
    const { leader } = await opened(3);
    for (let n = 0; n < 60; n += 1) {
      await pass(10_000);
      leader.world.socket.say({ type: "ping" });
    }
    expect(context.browser.tabs.flatMap(({ world }) => world.sockets)).toHaveLength(1);
  });

  it("connects at once when somebody comes back to another tab", async () => {
    const { leader, follower } = await opened(2);
    await leader.world.socket.drop(1012);
    follower.fire("visibilitychange");
    await arrived();
    expect(leader.world.sockets).toHaveLength(2);
  });

  it("and is hidden, where timers are slow, connects when a tab that is seen asks", async () => {
    const { leader } = await opened(2);
    leader.hidden = true;
    await pass(10_000);
    leader.world.socket.say({ type: "reconnect", afterMs: 60_000 });
    await leader.world.socket.drop(1012);
    await pass(10_000);
    expect(leader.world.sockets).toHaveLength(2);
  });

  it("and is hidden does not rest while another tab is seen", async () => {
    const { leader, follower } = await opened(2);
    leader.hidden = true;
    await pass(10_000);
    await leader.world.socket.drop(1001);
    await arrived();
    expect(follower.transport).toBe("connecting");
    await pass(1_000);
    await newSocket();
    follower.hidden = true;
    await pass(10_000);
    await leader.world.socket.drop(1001);
    await arrived();
    expect(follower.transport).toBe("paused");
  });
});

describe("a client that is closed", () => {
  it("ends its loops, the later ones too, and tells nothing more", async () => {
    const { leader } = await opened(2);
    const client = await leader.watch(["a"]);
    const { handlers, seen } = recorder();
    leader.run(() => client.watch("a", handlers));
    client.close();
    expect(await client.updates("a").next()).toEqual({ done: true, value: undefined });
    await tell(leader.world.socket, "a", { version: 9 });
    expect(seen).toEqual([]);
  });
});

describe("a tab that paused", () => {
  it.each([
    ["hidden", { whenHidden: "pause" }, "visibilitychange", "visibilitychange"],
    ["left for the cache", {}, "pagehide", "pageshow"],
  ] as const)(
    "while %s, and whose last watch ended there, connects for the next one",
    async (_, options, hides, shows) => {
      const tab = context.browser.open();
      const client = tab.client(options);
      const stop = tab.run(() => client.watch("a"));
      await arrived();
      tab.hidden = true;
      tab.fire(hides);
      tab.run(stop);
      await pass(100);
      tab.hidden = false;
      tab.fire(shows);
      tab.run(() => client.watch("b", tab.record.handlers));
      await pass(100);
      expect([tab.transport, context.browser.sockets.length]).toEqual(["connecting", 1]);
    },
  );
});

describe("a state that comes while a tab leaves a job", () => {
  it("is told when it comes back", async () => {
    const { leader } = await opened(1, ["x"]);
    const tab = context.browser.open();
    const client = tab.client();
    const stop = tab.run(() => client.watch("a"));
    await arrived();
    await tell(leader.world.socket, "a", {});
    tab.run(stop);
    await pass(51); // the tab has left, and the leader waits whether more changes
    await tell(leader.world.socket, "a", { version: 2, status: "completed" });
    tab.run(() => client.watch("a", tab.record.handlers));
    await arrived();
    await pass(30_000);
    expect(tab.seen).toEqual(["update a 2", "completed a 2"]);
  });
});
