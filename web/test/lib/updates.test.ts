import { afterEach, describe, expect, it, vi } from "vitest";
import { createHookcast, type Hookcast } from "../../src/lib/index.js";
import { fakeTime, pass, recorder, World } from "./world.js";

fakeTime();
let world: World;
let client: Hookcast | undefined;
afterEach(() => client?.close());

async function live() {
  world = new World();
  client = createHookcast(world.options);
  const controller = new AbortController();
  const updates = client.updates("a", { signal: controller.signal });
  const first = updates.next();
  await pass(0);
  await world.socket.accept();
  world.socket.state("a");
  await first;
  return { client, controller, updates };
}

describe("updates", () => {
  it("end when the client is closed while the loop's body runs", async () => {
    const { client, updates } = await live();
    client.close();
    const ended = vi.fn();
    void updates.next().then(ended);
    await pass(0);
    expect(ended).toHaveBeenCalledWith({ done: true, value: undefined });
  });

  it("end when the signal aborts while the loop's body runs", async () => {
    const { controller, updates } = await live();
    controller.abort(new Error("enough"));
    const ended = vi.fn();
    void updates.next().catch(ended);
    await pass(0);
    expect(ended).toHaveBeenCalledWith(new Error("enough"));
  });

  it("give a state that came while the loop's body ran", async () => {
    const { updates } = await live();
    world.socket.state("a", { version: 2 });
    world.socket.state("a", { version: 3 });
    expect(await updates.next()).toMatchObject({ value: { version: 3 } });
  });
});

describe("a watch that follows another one of the same job", () => {
  it("is told what came between the two", async () => {
    world = new World();
    client = createHookcast(world.options);
    const stop = client.watch("a");
    await pass(0);
    await world.socket.accept();
    world.socket.state("a");
    stop();
    world.socket.state("a", { version: 2, status: "completed" });
    const { seen, handlers } = recorder();
    client.watch("a", handlers);
    await pass(1_000);
    expect(seen).toEqual(["update a 2", "completed a 2"]);
  });
});
