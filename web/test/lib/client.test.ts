import { afterEach, describe, expect, it, vi } from "vitest";
import { createHookcast, type Hookcast, type HookcastOptions, type Job, rawJson } from "../../src/lib/index.js";
import { fakeTime, job, json, pass, recorder, settled, unhandled, World } from "./world.js";

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

describe("watches", () => {
  it("of one job each begin with the known state and are told its end", async () => {
    const { world, client } = await live();
    world.socket.state("a", { version: 3 });
    const { seen, handlers } = recorder();
    client.watch("a", handlers);
    await settled();
    world.socket.state("a", { version: 4, status: "cancelled" });
    expect(seen).toEqual(["update a 3", "update a 4", "failed a 4"]);
  });

  it("of a group see each of its jobs end once, and go on", async () => {
    const { world, client } = setUp();
    const { seen, handlers } = recorder();
    client.watchGroup("g", handlers);
    await pass(0);
    await world.socket.accept();
    world.socket.state("a", { group: "g", version: 2, status: "completed" });
    world.socket.state("a", { group: "g", version: 3, status: "completed" });
    world.socket.state("x", { group: "other" });
    world.socket.state("b", { group: "g" });
    expect(seen).toEqual(["update a 2", "completed a 2", "update a 3", "update b 1"]);
  });

  it("end with their signal", async () => {
    const { world, client, seen, handlers } = setUp();
    const controller = new AbortController();
    client.watch("a", { ...handlers, signal: controller.signal });
    client.watch("b", { ...handlers, signal: AbortSignal.abort() });
    await pass(0);
    await world.socket.accept();
    expect(world.socket.subscribed).toEqual(["a"]);
    controller.abort();
    world.socket.state("a");
    expect(seen).toEqual([]);
  });

  it("go on when a callback of another one fails", async () => {
    const { world, client, seen, handlers } = setUp();
    client.watch("a", {
      onUpdate: () => {
        throw new Error("theirs");
      },
    });
    client.watch("a", handlers);
    await pass(0);
    await world.socket.accept();
    const failures = await unhandled(async () => world.socket.state("a"));
    expect(seen).toEqual(["update a 1"]);
    expect(failures).toEqual([new Error("theirs")]);
  });

  it("that stop and start in one go leave the connection alone", async () => {
    const { world, client } = setUp();
    client.watch("a")();
    client.watch("a");
    await pass(0);
    expect(world.sockets).toHaveLength(1);
  });
});

describe("updates", () => {
  it("are the states up to the last one", async () => {
    const { world, client } = setUp();
    const found: number[] = [];
    const loop = (async () => {
      for await (const { version } of client.updates("a")) found.push(version);
    })();
    await vi.dynamicImportSettled();
    await pass(0);
    await world.socket.accept();
    for (const version of [1, 2]) {
      world.socket.state("a", { version });
      await settled();
    }
    world.socket.state("a", { version: 3, status: "completed" });
    await loop;
    expect(found).toEqual([1, 2, 3]);
  });

  it("give a slow reader the newest state", async () => {
    const { world, client } = setUp();
    const updates = client.updates("a");
    const first = updates.next();
    await vi.dynamicImportSettled();
    await pass(0);
    await world.socket.accept();
    world.socket.state("a", { version: 1 });
    expect((await first).value?.version).toBe(1);
    for (const version of [2, 3, 4]) world.socket.state("a", { version });
    expect((await updates.next()).value?.version).toBe(4);
    await updates.return();
    await pass(50);
    expect(world.socket.readyState).toBe(3);
  });

  it("end with their signal by its reason, and with the client", async () => {
    const { client } = setUp();
    const controller = new AbortController();
    const [aborted, closed] = [client.updates("a", { signal: controller.signal }).next(), client.updates("b").next()];
    controller.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    client.close();
    expect(await closed).toEqual({ done: true, value: undefined });
  });
});

describe("requests", () => {
  it("submit with a key that stays the same while the network fails", async () => {
    const { world, client } = setUp({ getToken: () => "key" });
    const answers = [undefined, undefined, json({ requestId: "a", status: "pending", job: job("a"), token: "t" }, 202)];
    world.answer = () => answers.shift();
    const submission = client.submit({ endpointId: "fal-ai/flux/dev", input: { prompt: "a cat" } });
    await vi.dynamicImportSettled();
    await pass(10_000);
    const submitted = await submission;
    expect(submitted).toMatchObject({ requestId: "a", token: "t", job: { version: 1 } });
    const keys = world.calls.map(({ headers }) => headers.get("Idempotency-Key"));
    expect([keys.length, new Set(keys).size]).toEqual([3, 1]);
    expect(world.calls[0]?.init.body).toBe('{"endpointId":"fal-ai/flux/dev","input":{"prompt":"a cat"}}');
    expect(world.calls[0]?.headers.get("Authorization")).toBe("Bearer key");
  });

  it("raise the problem that the server describes", async () => {
    const { world, client } = setUp();
    world.answer = () => json({ code: "fal_rejected", detail: "prompt: missing", falStatus: 422 }, 502);
    const submission = client.submit({ endpointId: "fal-ai/flux/dev", input: {} });
    await expect(submission).rejects.toMatchObject({
      name: "HookcastError",
      code: "fal_rejected",
      message: "prompt: missing",
      status: 502,
      detail: { falStatus: 422 },
    });
    expect(world.calls).toHaveLength(1);
  });

  it("raise a plain error where the answer is none of Hookcast's, or there is none", async () => {
    const { world, client } = setUp();
    world.answer = () => new Response("<html>", { status: 502 });
    await expect(client.get("a")).rejects.toMatchObject({ code: "http_502", status: 502 });
    world.answer = () => new Response("<html>");
    await expect(client.get("a")).rejects.toMatchObject({
      code: "unreadable",
      message: expect.stringContaining("check `url`"),
    });
    world.answer = () => undefined;
    await expect(client.get("a")).rejects.toMatchObject({ code: "network", status: 0 });
  });

  it("read a job with all its digits, and show it to those who watch it", async () => {
    const { world, client, seen } = await live();
    const text = JSON.stringify(job("a", { version: 7 })).replace('"result":null', '"result":9007199254740993123');
    world.answer = () => new Response(text);
    expect(rawJson(await client.get("a"))).toBe(text);
    expect(seen).toEqual(["update a 7"]);
  });

  it("cancel, and encode whatever a job is called", async () => {
    const { world, client } = setUp();
    world.answer = () => json(job("a/b c"), 202);
    await client.cancel("a/b c");
    expect(world.calls[0]?.url.pathname).toBe("/base/api/fal-jobs/a%2Fb%20c/cancel");
    expect(world.calls[0]?.init.method).toBe("POST");
  });

  it("of a closed client still work, but its watches do nothing", async () => {
    const { world, client } = setUp();
    client.close();
    world.answer = () => json(job("a"));
    expect((await client.get("a")).version).toBe(1);
    client.watch("a");
    await pass(1_000);
    expect(world.sockets).toHaveLength(0);
  });
});

describe("a page", () => {
  class Page extends EventTarget {
    readonly document = { hidden: false };

    show(hidden: boolean): void {
      this.document.hidden = hidden;
      this.dispatchEvent(new Event("visibilitychange"));
    }
  }

  function stubPage(): Page {
    const page = new Page();
    vi.stubGlobal("document", page.document);
    vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
    return page;
  }

  it("that is hidden keeps its connection, unless it is to pause", async () => {
    const page = stubPage();
    const kept = await live();
    page.show(true);
    expect(kept.world.socket.readyState).toBe(1);
    client?.close();
    page.document.hidden = false;
    const paused = await live({ whenHidden: "pause" });
    page.show(true);
    expect(paused.world.socket.readyState).toBe(3);
    expect(paused.transports.at(-1)).toBe("paused");
    page.show(false);
    await settled();
    expect(paused.world.sockets).toHaveLength(2);
  });

  it("that is hidden from the start, and is to pause, connects when it is seen", async () => {
    const page = stubPage();
    page.document.hidden = true;
    const { world, client } = setUp({ whenHidden: "pause" });
    client.watch("a");
    await pass(60_000);
    expect(world.sockets).toHaveLength(0);
    page.show(false);
    await settled();
    expect(world.sockets).toHaveLength(1);
  });

  it("that is online again, or resumed, connects at once, whatever it waits for", async () => {
    const page = stubPage();
    const { world } = await live();
    for (const [at, type] of ["online", "resume"].entries()) {
      page.dispatchEvent(new Event(type));
      await settled();
      expect(world.sockets).toHaveLength(at + 2);
      await world.socket.accept();
    }
    await world.socket.drop();
    page.dispatchEvent(new Event("online"));
    await settled();
    expect(world.sockets).toHaveLength(4);
  });

  it("that is seen again connects anew only if nothing was heard for longer than a heartbeat", async () => {
    const page = stubPage();
    const { world } = await live();
    await pass(14_000);
    page.show(true);
    page.show(false);
    await settled();
    expect(world.sockets).toHaveLength(1);
    await pass(10_000);
    page.show(false);
    await settled();
    expect(world.sockets).toHaveLength(2);
  });

  it("that is left closes its connection, and opens it when it is restored", async () => {
    const page = stubPage();
    const { world } = await live();
    page.dispatchEvent(new Event("pagehide"));
    expect(world.socket.readyState).toBe(3);
    page.dispatchEvent(new Event("pageshow"));
    await settled();
    expect(world.sockets).toHaveLength(2);
  });

  it("has no listener left once nothing is watched", async () => {
    const page = stubPage();
    const { world, client } = await live();
    world.socket.state("a", { status: "completed" });
    await pass(50);
    page.dispatchEvent(new Event("online"));
    await settled();
    expect(world.sockets).toHaveLength(1);
    const states: Job[] = [];
    client.watch("b", { onUpdate: (job) => void states.push(job) });
    await pass(0);
    await world.socket.accept();
    world.socket.state("b");
    expect(states).toHaveLength(1);
  });
});
