import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { cancelAction, retryAction, submitAction, tokenRoute } from "../../src/lib/next/index.js";
import {
  type SubmitOptions,
  submitHandler,
  tokenHandler,
  verifyWebhook,
  type WebhookEvent,
  webhookHandler,
} from "../../src/lib/server/index.js";
import { MAX_BYTES } from "../../src/lib/server/submit.js";
import { job, json, World } from "./world.js";

const SECRET = `whsec_${btoa("a".repeat(32))}`;
const OTHER = `whsec_${btoa("b".repeat(32))}`;
const MODEL = "fal-ai/flux/dev";

let world: World;
let log: ReturnType<typeof vi.fn<(error: unknown) => void>>;
beforeEach(() => {
  world = new World();
  log = vi.fn();
});
afterEach(() => vi.unstubAllEnvs());

/** What every handler is given; the session is a header here. */
function basics() {
  const user = async ({ headers }: Request) => headers.get("session");
  return { url: "https://hooks.test", apiKey: "key", fetch: world.fetch, user, log };
}

function post(body: unknown = {}, headers: Record<string, string> = {}): Request {
  const sent = { "Content-Type": "application/json", session: "user-1", "Sec-Fetch-Site": "same-origin", ...headers };
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return new Request("https://app.test/api", { method: "POST", headers: sent, body: text });
}

async function outcome(answer: Response): Promise<[status: number, code: unknown]> {
  expect(answer.headers.get("Cache-Control")).toBe("no-store");
  return [answer.status, (await answer.json()).code];
}

describe("tokenHandler", () => {
  it("mints a token for the signed-in user, which no cache keeps", async () => {
    world.answer = () => json({ token: "t", expiresAt: "2026-11-23T11:00:00.000Z" }, 201);
    const answer = await tokenHandler({ ...basics(), expiresIn: 600 })(post({ sub: "user-2" }));
    expect([answer.status, answer.headers.get("Cache-Control")]).toEqual([200, "no-store"]);
    expect(await answer.json()).toEqual({ token: "t", expiresAt: "2026-11-23T11:00:00.000Z" });
    const [call] = world.calls;
    expect(call?.url.href).toBe("https://hooks.test/api/tokens");
    expect(call?.headers.get("Authorization")).toBe("Bearer key");
    expect(JSON.parse(String(call?.init.body))).toEqual({ sub: "user-1", expiresIn: 600 });
  });

  it("refuses who is not signed in, other sites and other methods, without asking Hookcast", async () => {
    const handle = tokenHandler(basics());
    expect(await outcome(await handle(post({}, { session: "" })))).toEqual([401, "unauthorized"]);
    for (const site of ["cross-site", "same-site"]) {
      expect(await outcome(await handle(post({}, { "Sec-Fetch-Site": site })))).toEqual([403, "cross_site"]);
    }
    const old = { "Sec-Fetch-Site": "", Origin: "https://evil.test" };
    expect(await outcome(await handle(post({}, old)))).toEqual([403, "cross_site"]);
    expect(await outcome(await handle(new Request("https://app.test/api")))).toEqual([405, "method_not_allowed"]);
    expect(world.calls).toEqual([]);
  });

  it("answers pages of its own origin, of named ones, and programs", async () => {
    world.answer = () => json({ token: "t", expiresAt: null }, 201);
    const handle = tokenHandler({ ...basics(), origins: ["https://www.app.test"] });
    const named = { "Sec-Fetch-Site": "same-site", Origin: "https://www.app.test" };
    const proxied = { "Sec-Fetch-Site": "", Origin: "https://public.test", "X-Forwarded-Host": "public.test" };
    for (const headers of [named, proxied, { "Sec-Fetch-Site": "" }]) {
      expect((await handle(post({}, headers))).status).toBe(200);
    }
  });

  it("tells a visitor nothing that only the operator can mend, and logs it", async () => {
    world.answer = () => json({ code: "unauthorized", detail: "No such API key." }, 401);
    const answer = await tokenHandler(basics())(post());
    expect([answer.status, await answer.text()]).toEqual([500, expect.not.stringContaining("API key")]);
    expect(log.mock.calls).toEqual([[expect.objectContaining({ code: "unauthorized" })]]);
    const broken = { ...basics(), user: () => Promise.reject(new Error("the session store is away")) };
    expect(await outcome(await tokenHandler(broken)(post()))).toEqual([500, "internal"]);
  });

  it("takes the address and the key from the environment", async () => {
    vi.stubEnv("HOOKCAST_URL", "https://env.test");
    vi.stubEnv("HOOKCAST_API_KEY", "env-key");
    world.answer = () => json({ token: "t", expiresAt: null }, 201);
    await tokenHandler({ user: () => "user-1", fetch: world.fetch })(post());
    expect(world.calls[0]?.url.host).toBe("env.test");
    expect(world.calls[0]?.headers.get("Authorization")).toBe("Bearer env-key");
  });

  it("does not run in a page", async () => {
    vi.stubGlobal("document", {});
    const answer = await tokenHandler(basics())(post());
    vi.unstubAllGlobals();
    expect(await outcome(answer)).toEqual([500, "internal"]);
    expect(String(log.mock.calls[0]?.[0])).toContain("for servers");
  });
});

describe("submitHandler", () => {
  const accepted = () => json({ requestId: "a", status: "pending", job: job("a"), token: "t" }, 202);
  const handle = (request: Request, options: Partial<SubmitOptions> = {}) =>
    submitHandler({ ...basics(), endpoints: { [MODEL]: true }, ...options })(request);

  it("submits for the signed-in user, with a key that is theirs alone", async () => {
    world.answer = accepted;
    const wanted = { endpointId: MODEL, input: { prompt: "a cat" }, metadata: { node: 1 }, idempotencyKey: "k" };
    const answer = await handle(post({ ...wanted, owner: "user-2", options: { priority: "low" } }));
    expect([answer.status, Object.keys(await answer.json())]).toEqual([202, ["requestId", "status", "job"]]);
    await handle(post(wanted, { session: "user-2" }));
    const [first, second] = world.calls;
    const facts = { endpointId: MODEL, input: { prompt: "a cat" }, owner: "user-1", metadata: { node: 1 } };
    expect(JSON.parse(String(first?.init.body))).toEqual(facts);
    const keys = [first, second].map((call) => call?.headers.get("Idempotency-Key"));
    expect(keys).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/), expect.stringMatching(/^[0-9a-f]{64}$/)]);
    expect(keys[0]).not.toBe(keys[1]);
  });

  it("submits to no endpoint that is not allowed", async () => {
    for (const endpointId of ["fal-ai/veo3", "constructor", "__proto__"]) {
      expect(await outcome(await handle(post({ endpointId, input: {} })))).toEqual([403, "endpoint_not_allowed"]);
    }
    expect(world.calls).toEqual([]);
  });

  it("submits what a check makes of the input, and tells what it does not take", async () => {
    world.answer = accepted;
    const check = ({ prompt }: { prompt?: unknown }) => (prompt ? { prompt, steps: 4 } : "Please describe the image.");
    const options = { endpoints: { [MODEL]: check } };
    await handle(post({ endpointId: MODEL, input: { prompt: "a cat", steps: 900 } }), options);
    expect(JSON.parse(String(world.calls[0]?.init.body)).input).toEqual({ prompt: "a cat", steps: 4 });
    const answer = await handle(post({ endpointId: MODEL, input: {} }), options);
    expect([answer.status, (await answer.json()).detail]).toEqual([422, "Please describe the image."]);
  });

  it("refuses bodies that are too large, no JSON, or not what it takes", async () => {
    const large = JSON.stringify({ endpointId: MODEL, input: { prompt: "x".repeat(MAX_BYTES) } });
    expect(await outcome(await handle(post(large)))).toEqual([413, "too_large"]);
    expect(await outcome(await handle(post("{", {})))).toEqual([422, "invalid_request"]);
    expect(await outcome(await handle(post({}, { "Content-Type": "text/plain" })))).toEqual([415, "not_json"]);
    for (const body of [[], { endpointId: MODEL }, { endpointId: MODEL, input: {}, idempotencyKey: 7 }]) {
      expect(await outcome(await handle(post(body)))).toEqual([422, "invalid_request"]);
    }
    expect(world.calls).toEqual([]);
  });

  it("tells what fal says of the input, and not what it says of the key", async () => {
    const refused = (falStatus: number) => () => json({ code: "fal_rejected", detail: "prompt: no", falStatus }, 502);
    const answers = [];
    for (const falStatus of [422, 403]) {
      world.answer = refused(falStatus);
      const answer = await handle(post({ endpointId: MODEL, input: {} }));
      answers.push([answer.status, (await answer.json()).code]);
    }
    expect(answers).toEqual([
      [422, "fal_rejected"],
      [500, "internal"],
    ]);
  });
});

describe("webhookHandler", () => {
  const BODY = JSON.stringify({ type: "job.completed", timestamp: "2026-11-23T10:00:00.000Z", data: job("a") });

  function hook(secrets: string[] = [SECRET], changes: Record<string, string> = {}, at = new Date()): Request {
    const signatures = secrets.map((secret) => new Webhook(secret).sign("msg_1", at, BODY));
    const headers = {
      "webhook-id": "msg_1",
      "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
      "webhook-signature": signatures.join(" "),
      ...changes,
    };
    return new Request("https://app.test/hook", { method: "POST", headers, body: changes.body ?? BODY });
  }

  async function heard(request: Request, secret = SECRET) {
    const events: WebhookEvent[] = [];
    const answer = await webhookHandler({ secret, log, onEvent: (event) => void events.push(event) })(request);
    return { status: answer.status, events };
  }

  it("passes on what Hookcast signed, with any of the secrets", async () => {
    const { status, events } = await heard(hook());
    expect([status, events]).toEqual([204, [{ ...JSON.parse(BODY), id: "msg_1", text: BODY }]]);
    expect((await heard(hook([OTHER, SECRET]))).status).toBe(204);
    expect((await heard(hook(), `${OTHER}, ${SECRET}`)).status).toBe(204);
  });

  it.each([
    ["another secret", () => hook([OTHER])],
    ["a changed body", () => hook([SECRET], { body: BODY.replace("pending", "completed") })],
    ["another id", () => hook([SECRET], { "webhook-id": "msg_2" })],
    ["no signature", () => hook([SECRET], { "webhook-signature": "" })],
    ["a signature that is none", () => hook([SECRET], { "webhook-signature": "v1,? v1 v2,AAAA v1," })],
    ["no time", () => hook([SECRET], { "webhook-timestamp": "soon" })],
    ["an old time", () => hook([SECRET], {}, new Date(Date.now() - 301_000))],
    ["a time to come", () => hook([SECRET], {}, new Date(Date.now() + 302_000))],
  ])("refuses %s", async (_, request) => {
    expect(await heard(request())).toEqual({ status: 401, events: [] });
  });

  it("answers 500 to what could not be dealt with, so that it is told again", async () => {
    const onEvent = () => Promise.reject(new Error("the database is away"));
    const answer = await webhookHandler({ secret: SECRET, log, onEvent })(hook());
    expect([answer.status, log.mock.calls.length]).toEqual([500, 1]);
  });

  it("answers 500 without a secret, and says which setting to change", async () => {
    for (const secret of ["", "whsec_", "whsec_?"]) expect((await heard(hook(), secret)).status).toBe(500);
    expect(String(log.mock.calls[0]?.[0])).toContain("HOOKCAST_FORWARD_SECRET");
  });

  it("verifies for frameworks without Request", async () => {
    const headers = Object.fromEntries(hook().headers);
    expect((await verifyWebhook(headers, BODY, SECRET)).data.requestId).toBe("a");
    await expect(verifyWebhook(headers, `${BODY} `, SECRET)).rejects.toThrow("did not sign");
  });
});

describe("hookcast/next", () => {
  const session = () => ({
    url: "https://hooks.test",
    apiKey: "key",
    fetch: world.fetch,
    user: async () => "user-1",
    log,
  });

  it("has a route for tokens", async () => {
    world.answer = () => json({ token: "t", expiresAt: null }, 201);
    const { POST } = tokenRoute(session());
    expect(await (await POST(post())).json()).toEqual({ token: "t", expiresAt: null });
  });

  it("has an action that submits, whose errors are values", async () => {
    const submit = submitAction({ ...session(), endpoints: { [MODEL]: true } });
    world.answer = () => json({ requestId: "a", status: "pending", job: job("a"), token: null }, 202);
    expect(await submit({ endpointId: MODEL, input: {} })).toMatchObject({ requestId: "a", job: { version: 1 } });
    expect(await submit(null as never)).toMatchObject({ error: { code: "invalid_request" } });
    const stranger = submitAction({ ...session(), user: () => null, endpoints: { [MODEL]: true } });
    expect(await stranger({ endpointId: MODEL, input: {} })).toMatchObject({ error: { code: "unauthorized" } });
  });

  it("has an action that cancels the user's own jobs, and no others", async () => {
    const cancel = cancelAction(session());
    world.answer = (url) => json(job("a", { owner: url.pathname.includes("/theirs") ? "user-2" : "user-1" }), 202);
    expect(await cancel("mine")).toMatchObject({ job: { requestId: "a" } });
    expect(world.asked("/cancel")).toHaveLength(1);
    for (const requestId of ["theirs", "", 7 as never]) {
      expect(await cancel(requestId)).toMatchObject({ error: { code: "job_not_found" } });
    }
    expect(world.asked("/cancel")).toHaveLength(1);
  });

  it("has an action that submits the input of the user's own jobs again, and of no others", async () => {
    const retry = retryAction(session());
    world.answer = ({ pathname }) => {
      if (pathname.endsWith("/kept/retry"))
        return json({ requestId: "new", job: job("new", { retryOf: "kept" }) }, 202);
      if (pathname.endsWith("/retry")) return json({ code: "input_not_kept" }, 409);
      return json(job(pathname.split("/").at(-1), { owner: pathname.includes("/theirs") ? "user-2" : "user-1" }));
    };
    expect(await retry("kept")).toMatchObject({ requestId: "new", job: { retryOf: "kept" } });
    expect(await retry("old")).toMatchObject({ error: { code: "input_not_kept", status: 409 } });
    for (const requestId of ["theirs", "", 7 as never]) {
      expect(await retry(requestId)).toMatchObject({ error: { code: "job_not_found" } });
    }
    expect(world.asked("/retry")).toHaveLength(2);
  });
});
