import { describe, expect, it } from "vitest";
import { cancel, eventsUrl, type Fetch, get, linksOf, newKey, readProblem, submit, type Ticket } from "../src/api";
import { submissionOf } from "../src/submission";
import { job } from "./fixtures";

const ticket: Ticket = { requestId: "r1", token: null, links: linksOf("r1") };

function answering(status: number, body: unknown) {
  const calls: { url: string; init: RequestInit }[] = [];
  const fetcher: Fetch = async (url, init) => {
    calls.push({ url, init });
    const text = typeof body === "string" ? body : JSON.stringify(body);
    return new Response(status === 304 ? null : text, { status });
  };
  return { calls, fetcher };
}

const unreachable: Fetch = async () => {
  throw new TypeError("network");
};

describe("reading a problem", () => {
  it("takes the title, the detail, the code and fal's own answer", () => {
    const body = '{"title":"fal rejected it","status":502,"detail":"422","code":"fal_rejected","falBody":{"n":1}}';
    expect(readProblem(502, body)).toEqual({
      title: "fal rejected it",
      detail: "422",
      code: "fal_rejected",
      falBody: '{\n  "n": 1\n}',
      retryable: true,
    });
  });

  it("offers no second try for a request that is wrong in itself", () => {
    expect(readProblem(422, '{"title":"Invalid","code":"invalid_request"}').retryable).toBe(false);
  });

  it.each(["", "<html>Bad Gateway</html>", "[]", "null", '{"title":7}'])("says something for the body %j", (body) => {
    expect(readProblem(502, body)).toMatchObject({ title: "The server answered 502", detail: null, falBody: null });
  });
});

describe("submitting", () => {
  const submission = submissionOf("a lighthouse", "fal-ai/flux/dev", "webhook_late");

  it("sends the form with its Idempotency-Key", async () => {
    const { calls, fetcher } = answering(202, { requestId: "r1", job: job(), token: null, links: linksOf("r1") });
    await submit(fetcher, submission, "key-1");
    expect(calls[0]?.url).toBe("/api/fal-jobs");
    expect(calls[0]?.init.headers).toMatchObject({ "Idempotency-Key": "key-1" });
    expect(JSON.parse(String(calls[0]?.init.body))).toEqual({
      endpointId: "fal-ai/flux/dev",
      input: { prompt: "a lighthouse", _emulator: { faults: ["webhook_late"], seconds: 5 } },
    });
  });

  it("asks for no fault unless one is chosen", () => {
    expect(submissionOf("p", "e", "none").input).toEqual({ prompt: "p" });
    expect(submissionOf("p", "e", "model_error").input).toEqual({
      prompt: "p",
      _emulator: { faults: ["model_error"] },
    });
  });

  it("stays on its own origin whatever host the links name", async () => {
    const events = "https://public.example/api/fal-jobs/r1/events?x=1";
    const answer = await submit(
      answering(202, { requestId: "r1", job: job(), token: "t", links: { events } }).fetcher,
      submission,
      "k",
    );
    expect(answer).toMatchObject({
      ticket: { token: "t", links: { events: "/api/fal-jobs/r1/events?x=1", cancel: "/api/fal-jobs/r1/cancel" } },
      snapshot: { job: { requestId: "r1", version: 1 } },
    });
  });

  it("turns a refusal, a silent server and an unreadable answer into problems to read", async () => {
    const refused = await submit(
      answering(422, { title: "Invalid", code: "invalid_request" }).fetcher,
      submission,
      "k",
    );
    expect(refused).toMatchObject({ problem: { title: "Invalid", code: "invalid_request" } });
    expect(await submit(unreachable, submission, "k")).toMatchObject({ problem: { retryable: true } });
    expect(await submit(answering(200, "hello").fetcher, submission, "k")).toHaveProperty("problem");
  });
});

describe("asking for a job", () => {
  it("names the version it knows, and hears that nothing changed", async () => {
    const { calls, fetcher } = answering(304, "");
    expect(await get(fetcher, ticket, 3)).toEqual({ kind: "same" });
    expect(calls[0]?.init.headers).toMatchObject({ "If-None-Match": '"3"' });
  });

  it("tells a state, an unknown job and a failure apart", async () => {
    const known = await get(answering(200, job({ version: 4 })).fetcher, ticket, null);
    expect(known).toMatchObject({ kind: "state", snapshot: { job: { version: 4 } } });
    expect(await get(answering(404, {}).fetcher, ticket, null)).toEqual({ kind: "gone" });
    expect(await get(answering(500, "").fetcher, ticket, null)).toEqual({ kind: "failed" });
    expect(await get(answering(200, "{}").fetcher, ticket, null)).toEqual({ kind: "failed" });
    expect(await get(unreachable, ticket, null)).toEqual({ kind: "failed" });
  });

  it("takes a cancel that came too late as no change", async () => {
    expect(await cancel(answering(409, { code: "already_terminal" }).fetcher, ticket)).toEqual({ kind: "same" });
  });

  it("carries the token in the header, and in the query of a stream", async () => {
    const { calls, fetcher } = answering(304, "");
    await get(fetcher, { ...ticket, token: "a b" }, null);
    expect(calls[0]?.init.headers).toMatchObject({ Authorization: "Bearer a b" });
    expect(eventsUrl({ ...ticket, token: "a b" })).toBe("/api/fal-jobs/r1/events?token=a%20b");
    expect(eventsUrl(ticket)).toBe("/api/fal-jobs/r1/events");
  });
});

describe("the Idempotency-Key", () => {
  it("is a version 4 UUID where crypto.randomUUID is missing", () => {
    const plain = { getRandomValues: crypto.getRandomValues.bind(crypto) } as unknown as Crypto;
    expect(newKey(plain)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(newKey(plain)).not.toBe(newKey(plain));
  });
});
