import { afterEach, describe, expect, it, vi } from "vitest";
import { createHookcast, type Hookcast } from "../../src/lib/index.js";
import { TICK_MS } from "../../src/lib/patience.js";
import { fakeTime, job, json, pass, recorder, World } from "./world.js";

fakeTime();
let world: World;
let client: Hookcast;
afterEach(() => client.close());

function setUp(): void {
  world = new World();
  client = createHookcast({ ...world.options, getToken: () => "key" });
}

/** Return what `wait` has become so far. */
async function waiting(options: Parameters<Hookcast["wait"]>[1] = {}) {
  setUp();
  const told = vi.fn();
  void client.wait("a", options).then(
    ({ version }) => told(version),
    (error) => told(error.code ?? error.message),
  );
  await vi.dynamicImportSettled();
  await pass(0);
  await world.socket.accept();
  return told;
}

describe("list", () => {
  it("asks for what is set, and returns a page", async () => {
    setUp();
    world.answer = () => json({ jobs: [job("b"), job("a")], nextCursor: "c1" });
    const page = await client.list({ owner: "user 1", status: "pending", limit: 2, cursor: null });
    expect(page.jobs.map(({ requestId }) => requestId)).toEqual(["b", "a"]);
    expect(page.nextCursor).toBe("c1");
    const [call] = world.calls;
    expect(call?.url.href).toBe("https://hooks.test/base/api/fal-jobs?owner=user+1&status=pending&limit=2");
    expect(call?.headers.get("Authorization")).toBe("Bearer key");
  });

  it("shows its states to those who watch their jobs", async () => {
    setUp();
    const { seen, handlers } = recorder();
    client.watch("a", handlers);
    world.answer = () => json({ jobs: [job("a", { version: 4 })], nextCursor: null });
    await client.list();
    expect(seen).toEqual(["update a 4"]);
  });

  it("rejects with the server's problem, and for an answer that is no list", async () => {
    setUp();
    world.answer = () => json({ code: "forbidden", detail: "An API key is needed." }, 403);
    await expect(client.list({ group: "g" })).rejects.toMatchObject({ code: "forbidden", status: 403 });
    world.answer = () => new Response("<html>");
    await expect(client.list()).rejects.toMatchObject({ code: "unreadable" });
  });
});

describe("submit", () => {
  const IN_FLIGHT = { code: "idempotency_in_flight", detail: "The same submit is in progress." };
  const accepted = () => json({ requestId: "a", status: "pending", job: job("a"), token: null }, 202);
  const input = { prompt: "a cat" };

  /** Return what `submit` has become so far. */
  async function submitting(answer: World["answer"], signal?: AbortSignal) {
    setUp();
    world.answer = answer;
    const told = vi.fn();
    void client.submit({ endpointId: "fal-ai/flux/dev", input }, { signal }).then(
      ({ requestId }) => told(requestId),
      (error) => told(error.code ?? error.message),
    );
    await vi.dynamicImportSettled();
    await pass(0);
    return told;
  }

  it("waits until the request that another node is answering has its job", async () => {
    const ready = Date.now() + 30_000;
    const told = await submitting(() => {
      if (world.calls.length === 1) return undefined;
      return Date.now() < ready ? json(IN_FLIGHT, 409) : accepted();
    });
    await pass(29_000);
    expect(told).not.toHaveBeenCalled();
    await pass(31_000);
    expect(told.mock.calls).toEqual([["a"]]);
    expect(new Set(world.calls.map(({ headers }) => headers.get("Idempotency-Key"))).size).toBe(1);
  });

  it("rejects when that takes longer than a server needs", async () => {
    const told = await submitting(() => json(IN_FLIGHT, 409));
    await pass(60_000);
    expect([told.mock.calls, world.calls.length]).toEqual([[["idempotency_in_flight"]], 9]);
  });

  it("pauses between its three attempts, longer each time, while the network fails", async () => {
    const times: number[] = [];
    const began = Date.now();
    const told = await submitting(() => void times.push(Date.now() - began));
    await pass(60_000);
    expect([told.mock.calls, times]).toEqual([[["network"]], [0, 1_500, 4_500]]);
  });

  it("repeats the same body, whatever has become of the input meanwhile", async () => {
    const changing = input as { prompt: string };
    await submitting(() => undefined);
    changing.prompt = "a dog";
    await pass(60_000);
    changing.prompt = "a cat";
    expect(new Set(world.calls.map(({ init }) => init.body)).size).toBe(1);
  });

  it("ends its pause with its signal, by its reason", async () => {
    const controller = new AbortController();
    const told = await submitting(() => json(IN_FLIGHT, 409), controller.signal);
    controller.abort(new Error("enough"));
    await pass(0);
    expect(told.mock.calls).toEqual([["enough"]]);
  });
});

describe("retry", () => {
  const submitted = {
    requestId: "b",
    status: "pending",
    job: job("b", { retryOf: "a/1" }),
    token: null,
    expiresAt: null,
  };

  it("posts without a body and without a key of its own, so that a double click is one job", async () => {
    setUp();
    world.answer = () => json(submitted, 202);
    expect((await client.retry("a/1")).job.retryOf).toBe("a/1");
    const [call] = world.calls;
    expect([call?.url.pathname, call?.init.method]).toEqual(["/base/api/fal-jobs/a%2F1/retry", "POST"]);
    expect(call?.init.body).toBeUndefined();
    expect(call?.headers.get("Idempotency-Key")).toBeNull();
    expect(call?.headers.get("Idempotency-Retry")).toBeNull();
  });

  it("passes a key on, and the wish to submit in spite of an unknown outcome", async () => {
    setUp();
    world.answer = () => json(submitted, 202);
    await client.retry("a", { idempotencyKey: "k", again: true });
    expect(world.calls[0]?.headers.get("Idempotency-Key")).toBe("k");
    expect(world.calls[0]?.headers.get("Idempotency-Retry")).toBe("yes");
  });

  it("rejects with the server's problem, once, and for an answer that is no job", async () => {
    setUp();
    world.answer = () => json({ code: "input_not_kept", detail: "It was not kept." }, 409);
    await expect(client.retry("a")).rejects.toMatchObject({ code: "input_not_kept", status: 409 });
    world.answer = () => undefined;
    await expect(client.retry("a")).rejects.toMatchObject({ code: "network" });
    expect(world.calls).toHaveLength(2);
    world.answer = () => json({ requestId: "b" }, 202);
    await expect(client.retry("a")).rejects.toMatchObject({ code: "unreadable" });
  });
});

describe("createToken", () => {
  it("posts what the token is to show", async () => {
    setUp();
    world.answer = () => json({ token: "t", expiresAt: "2026-11-23T11:00:00.000Z" }, 201);
    const wanted = { sub: "user-1", jobs: ["a"], groups: ["g"], expiresIn: 600 };
    expect(await client.createToken(wanted)).toEqual({ token: "t", expiresAt: "2026-11-23T11:00:00.000Z" });
    const [call] = world.calls;
    expect([call?.url.pathname, call?.init.method]).toEqual(["/base/api/tokens", "POST"]);
    expect(JSON.parse(String(call?.init.body))).toEqual(wanted);
    expect(call?.headers.get("Content-Type")).toBe("application/json");
  });

  it("is null on an open server, and rejects with the server's problem", async () => {
    setUp();
    world.answer = () => json({ token: null, expiresAt: null }, 201);
    expect(await client.createToken({ sub: "user-1" })).toEqual({ token: null, expiresAt: null });
    world.answer = () => json({ code: "no_token_secret", detail: "Set HOOKCAST_TOKEN_SECRET." }, 409);
    await expect(client.createToken({ sub: "user-1" })).rejects.toMatchObject({ code: "no_token_secret" });
  });
});

describe("wait", () => {
  it("resolves with the completed job", async () => {
    const told = await waiting();
    world.socket.state("a");
    world.socket.state("a", { version: 2, status: "completed" });
    await pass(50);
    expect(told.mock.calls).toEqual([[2]]);
    expect(world.socket.readyState).toBe(3);
  });

  it.each(["failed", "cancelled"] as const)("rejects when the job has %s", async (status) => {
    const told = await waiting();
    world.socket.state("a", { version: 2, status, error: "prompt: missing" });
    await pass(50);
    expect(told.mock.calls).toEqual([[`job_${status}`]]);
  });

  it("asks the server once more before it rejects with a timeout", async () => {
    const told = await waiting({ timeout: 20_000 });
    world.answer = () => json(job("a", { version: 2, status: "completed" }));
    await pass(20_000);
    expect(told.mock.calls).toEqual([[2]]);
    const late = await waiting({ timeout: 20_000 });
    world.answer = () => json(job("a"));
    await pass(20_000);
    expect(late.mock.calls).toEqual([["timeout"]]);
  });

  it("does not count the time asleep", async () => {
    const told = await waiting({ timeout: 20_000 });
    await pass(1_000);
    vi.setSystemTime(Date.now() + 3_600_000);
    await pass(19_000);
    expect(told).not.toHaveBeenCalled();
    await pass(TICK_MS);
    expect(told.mock.calls).toEqual([["timeout"]]);
  });

  it("rejects with the reason of its signal, and when the client is closed", async () => {
    const controller = new AbortController();
    const told = await waiting({ signal: controller.signal });
    controller.abort(new Error("enough"));
    await pass(50);
    expect(told.mock.calls).toEqual([["enough"]]);
    expect(world.socket.readyState).toBe(3);
    const closed = await waiting();
    client.close();
    await pass(0);
    expect(closed.mock.calls).toEqual([["closed"]]);
    await expect(client.wait("a", { signal: AbortSignal.abort(new Error("before")) })).rejects.toThrow("before");
  });
});
