import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type Facts, judge } from "../../src/lib/diagnosis.js";
import { createHookcast, type Hookcast, type HookcastError, type HookcastOptions } from "../../src/lib/index.js";
import { fakeTime, job, json, pass, recorder, settled, unhandled, World } from "./world.js";

fakeTime();
let client: Hookcast | undefined;
afterEach(() => client?.close());

const FACTS: Facts = { url: "https://hooks.test", origin: "https://app.test", asked: true, token: true };
const UNAUTHORIZED = { status: 401, code: "unauthorized", detail: "Send a token.", ours: true };

function setUp(options: HookcastOptions = {}) {
  const world = new World();
  client = createHookcast({ ...world.options, ...options });
  const { seen, transports, handlers } = recorder();
  const errors: HookcastError[] = [];
  const onError = (error: HookcastError) => {
    handlers.onError(error);
    errors.push(error);
  };
  return { world, client, seen, transports, errors, handlers: { ...handlers, onError } };
}

/** Let time pass, and the code that is loaded meanwhile run. */
async function wait(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    await pass(500);
    await vi.dynamicImportSettled();
    await settled();
  }
}

/** Make the server refuse the page's origin: the page can read `/healthz` only. */
function refuseOrigin(world: World) {
  world.answer = ({ pathname }) =>
    pathname.endsWith("/healthz") ? json({ now: "2026-11-23T10:00:00Z", status: "ok" }) : undefined;
}

describe("the verdict", () => {
  it.each<[string, string, Partial<Facts>]>([
    ["unreachable", "url", { health: "none" }],
    ["unreachable", "url", { late: true }],
    ["mixed_content", "url", { url: "http://hooks.test", health: "none" }],
    ["blocked_by_csp", "connect-src", { blocked: true, health: "none" }],
    ["origin_not_allowed", "HOOKCAST_ALLOWED_ORIGINS", { health: "hookcast" }],
    [
      "origin_not_allowed",
      "HOOKCAST_PUBLIC_URL",
      { answer: { ...UNAUTHORIZED, status: 403, code: "origin_not_allowed" } },
    ],
    ["not_hookcast", "url", { health: "opaque" }],
    ["not_hookcast", "url", { health: "foreign" }],
    ["not_hookcast", "url", { answer: { status: 200, ours: false } }],
    ["not_hookcast", "url", { answer: { status: 401, ours: false } }],
    ["not_hookcast", "url", { answer: { status: 403, ours: false } }],
    ["not_hookcast", "url", { answer: { status: 404, ours: false } }],
    ["not_hookcast", "path", { answer: { status: 404, code: "not_found", ours: true } }],
    ["unauthorized", "pass `getToken`", { asked: false, token: false, answer: UNAUTHORIZED }],
    ["unauthorized", "`getToken` gave none", { token: false, answer: UNAUTHORIZED }],
    ["unauthorized", "POST /api/tokens", { answer: UNAUTHORIZED }],
    ["token_invalid", "POST /api/tokens", { answer: { ...UNAUTHORIZED, code: "token_invalid" } }],
    ["token_expired", "`getToken`", { answer: { ...UNAUTHORIZED, code: "token_expired" } }],
    ["unavailable", "proxy", { answer: { status: 502, ours: false } }],
    ["store_unavailable", "Send a token.", { answer: { ...UNAUTHORIZED, status: 503, code: "store_unavailable" } }],
  ])("is %s, and names %s", (code, named, facts) => {
    const [found, message] = judge({ ...FACTS, ...facts }) ?? [];
    expect(found).toBe(code);
    expect(message).toContain(named);
  });

  it.each([
    { status: 200, ours: true },
    { status: 403, code: "forbidden", ours: true },
  ])("is nothing where the API answers with $status", (answer) => {
    expect(judge({ ...FACTS, answer })).toBeNull();
  });

  it("is not mixed content on this machine", () => {
    expect(judge({ ...FACTS, url: "http://127.0.0.1:8000", health: "none" })?.[0]).toBe("unreachable");
  });

  it("has each of its codes in the table of SPEC.md", () => {
    const spec = readFileSync(new URL("../../SPEC.md", import.meta.url), "utf8");
    const codes = ["unreachable", "mixed_content", "blocked_by_csp", "origin_not_allowed", "not_hookcast"];
    for (const code of [...codes, "unauthorized", "token_invalid", "token_expired", "token_failed", "unavailable"]) {
      expect(spec).toContain(`| \`${code}\``);
    }
  });
});

describe("a watch without a connection", () => {
  it("is told within 10 s that no server answers, once", async () => {
    const { client, errors, handlers } = setUp();
    client.watch("a", handlers);
    await wait(8_000);
    expect(errors).toEqual([]);
    await wait(2_000);
    expect(errors.map(({ code }) => code)).toEqual(["unreachable"]);
    await wait(60_000);
    expect(errors).toHaveLength(1);
  });

  it("is told within 10 s that the address never answers", async () => {
    const { client, world, seen, handlers } = setUp();
    world.answer = () => null;
    client.watch("a", handlers);
    await wait(10_000);
    expect(seen).toEqual(["error unreachable"]);
  });

  it.each(["/", "hooks.test", "localhost:8000"])("is told that %j is no address of a server", async (url) => {
    const { client, errors, handlers } = setUp({ url });
    client.watch("a", handlers);
    const found = await unhandled(() => wait(5_000));
    expect(found).toEqual([]);
    expect(errors.map(({ code }) => code)).toEqual(["unreachable"]);
    expect(errors[0]?.message).toContain("`url`");
  });

  it("is told to check the address where the code that finds the reason cannot be loaded", async () => {
    const { client, errors, handlers } = setUp();
    vi.doMock("../../src/lib/diagnosis.js", () => {
      throw new TypeError("Failed to fetch dynamically imported module");
    });
    client.watch("a", handlers);
    await wait(20_000);
    vi.doUnmock("../../src/lib/diagnosis.js");
    expect(errors.map(({ code, message }) => [code, message])).toEqual([["unreachable", "No answer: check `url`."]]);
  });

  it("is told that its origin is not allowed, and goes on", async () => {
    const { client, world, seen, handlers } = setUp();
    refuseOrigin(world);
    client.watch("a", handlers);
    await wait(5_000);
    expect(seen).toEqual(["error origin_not_allowed"]);
    world.answer = () => json(job("a"));
    await wait(30_000);
    expect(seen).toEqual(["error origin_not_allowed", "update a 1"]);
  });

  it("is told what another one was told before", async () => {
    const { client, world, handlers } = setUp();
    refuseOrigin(world);
    client.watch("a", handlers);
    await wait(5_000);
    const late = recorder();
    client.watch("b", late.handlers);
    await settled();
    expect(late.seen).toEqual(["error origin_not_allowed"]);
  });

  it("does not take the page of a login for a connection", async () => {
    const { client, world, seen, transports, handlers } = setUp({ transports: ["poll"] });
    world.answer = () => new Response("<!doctype html><title>Log in</title>");
    client.watch("a", handlers);
    await wait(10_000);
    expect(seen).toEqual(["error not_hookcast"]);
    expect(transports).toEqual(["connecting"]);
  });

  it.each<[object, number]>([
    [{ code: "SUCCESS", data: {} }, 200],
    [{ jobs: [], url: "https://builds.test/" }, 200],
    [{ requestId: "a" }, 200],
    [{ code: "blocked", detail: "Firewall." }, 403],
  ])("does not take the JSON of another server for Hookcast's: %j", async (body, status) => {
    const { client, world, seen, transports, handlers } = setUp({ transports: ["poll"] });
    world.answer = () => new Response(JSON.stringify(body), { status });
    client.watch("a", handlers);
    await wait(10_000);
    expect(seen).toEqual(["error not_hookcast"]);
    expect(transports).toEqual(["connecting"]);
  });

  it("is told that getToken does not answer", async () => {
    const { client, errors, handlers } = setUp({ getToken: () => new Promise<string>(() => {}) });
    client.watch("a", handlers);
    await wait(10_000);
    expect(errors.map(({ code }) => code)).toEqual(["token_failed"]);
    expect(errors[0]?.message).toContain("getToken");
    await wait(30_000);
  });

  it("hears nothing of a restart that takes 9 s", async () => {
    const { client, world, seen, handlers } = setUp();
    client.watch("a", handlers);
    await pass(0);
    await world.socket.accept();
    await world.socket.drop();
    await wait(9_000);
    world.answer = ({ search }) => json(search === "?limit=1" ? { jobs: [] } : job("a"));
    await wait(60_000);
    expect(seen).toEqual(["update a 1"]);
  });

  it("hears that a server which it had met stays away", async () => {
    const { client, world, seen, handlers } = setUp();
    client.watch("a", handlers);
    await pass(0);
    await world.socket.accept();
    await world.socket.drop();
    await wait(19_000);
    expect(seen).toEqual([]);
    await wait(2_000);
    expect(seen).toEqual(["error unreachable"]);
  });

  it.each([{ onLine: false }, { hidden: true }])("hears nothing while the page is away: %o", async (away) => {
    vi.stubGlobal("navigator", { onLine: true, ...away });
    vi.stubGlobal("document", { hidden: false, ...away });
    const { client, seen, handlers } = setUp();
    client.watch("a", handlers);
    await wait(60_000);
    expect(seen).toEqual([]);
  });

  it("hears nothing of an address that is none while there is no network", async () => {
    vi.stubGlobal("navigator", { onLine: false });
    const { client, seen, handlers } = setUp({ url: "/" });
    client.watch("a", handlers);
    expect(await unhandled(() => wait(5_000))).toEqual([]);
    expect(seen).toEqual([]);
  });

  it("hears of a server of its own machine without any network", async () => {
    vi.stubGlobal("navigator", { onLine: false });
    const { client, seen, handlers } = setUp({ url: "http://127.0.0.1:8000" });
    client.watch("a", handlers);
    await wait(60_000);
    expect(seen).toEqual(["error unreachable"]);
  });

  it("warns in development only, and once for the same reason", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    for (const [mode, times] of [
      ["production", 0],
      ["development", 1],
      ["development", 1],
    ] as const) {
      vi.stubEnv("NODE_ENV", mode);
      const { client, handlers } = setUp({ url: "https://warned.test" });
      client.watch("a", handlers);
      await wait(10_000);
      client.close();
      expect(warn).toHaveBeenCalledTimes(times);
    }
    expect(warn.mock.calls[0]?.[0]).toContain("unreachable");
    vi.unstubAllEnvs();
  });
});

describe("failFast", () => {
  it("rejects an iteration with the reason", async () => {
    const { client, world } = setUp();
    refuseOrigin(world);
    const next = client.updates("a", { failFast: true }).next();
    const failure = expect(next).rejects.toMatchObject({ code: "origin_not_allowed" });
    await wait(5_000);
    await failure;
  });

  it.each([
    ["get", (client: Hookcast) => client.get("a", { failFast: true })],
    ["submit", (client: Hookcast) => client.submit({ endpointId: "fal-ai/x", input: {} }, { failFast: true })],
  ])("rejects %s with the reason, after one attempt", async (_, call) => {
    const { client, world } = setUp();
    const failure = expect(call(client)).rejects.toMatchObject({ code: "unreachable" });
    await wait(1_000);
    await failure;
    expect(world.calls).toHaveLength(1);
  });

  it("rejects with the reason where a path is no address", async () => {
    const { client } = setUp({ url: "/" });
    await expect(client.get("a", { failFast: true })).rejects.toMatchObject({ code: "unreachable" });
  });

  it("keeps what the server says", async () => {
    const { client, world } = setUp();
    world.answer = () => json({ code: "job_not_found", detail: "No such job." }, 404);
    await expect(client.get("a", { failFast: true })).rejects.toMatchObject({ code: "job_not_found", status: 404 });
  });
});
