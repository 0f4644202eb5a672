import { afterEach, describe, expect, it, vi } from "vitest";
import { createParser } from "../../src/lib/eventstream.js";
import { createHookcast, type Hookcast, type HookcastOptions } from "../../src/lib/index.js";
import { type Call, FakeStream, fakeTime, job, json, pass, recorder, settled, World } from "./world.js";

fakeTime();
let client: Hookcast | undefined;
afterEach(() => client?.close());

/** A client without WebSocket, whose streams the test holds. */
function setUp(options: HookcastOptions = {}) {
  const world = new World();
  const streams: FakeStream[] = [];
  world.answer = (url) => {
    if (!url.pathname.endsWith("/events")) return undefined;
    const stream = new FakeStream();
    streams.push(stream);
    return stream;
  };
  client = createHookcast({ ...world.options, transports: ["sse", "long-poll"], ...options });
  const record = recorder();
  const stream = () => streams.at(-1) as FakeStream;
  return { world, client, streams, stream, ...record };
}

const query = ({ url }: Call) => url.searchParams.getAll("requestId");

describe("an event stream", () => {
  it("is one request for all jobs and groups, with the token in the header", async () => {
    const { world, client } = setUp({ getToken: () => "t1" });
    client.watch("a");
    client.watch("b");
    client.watchGroup("g h");
    await pass(0);
    expect(world.calls).toHaveLength(1);
    const { url, headers } = world.calls[0] as Call;
    expect(url.pathname + url.search).toBe("/base/api/fal-jobs/events?requestId=a&requestId=b&group=g+h");
    expect([headers.get("Authorization"), headers.get("Accept")]).toEqual(["Bearer t1", "text/event-stream"]);
  });

  it("is asked for again with the new names once these have been gathered, and not when names go", async () => {
    const { world, client, stream } = setUp();
    const stop = client.watch("a");
    await pass(0);
    await stream().state("a");
    client.watch("b");
    await pass(49);
    client.watch("c");
    expect(world.calls).toHaveLength(1);
    await pass(1);
    expect(world.calls.map(query)).toEqual([["a"], ["a", "b", "c"]]);
    expect(world.calls[0]?.aborted()).toBe(true);
    stop();
    await pass(1_000);
    expect(world.calls).toHaveLength(2);
  });

  it("brings the states of all names after it was opened anew", async () => {
    const { world, client, stream, seen, handlers } = setUp();
    client.watch("a", handlers);
    await pass(0);
    await stream().state("a");
    client.watch("b", handlers);
    await pass(50);
    await stream().state("a", { version: 2 });
    await stream().state("b");
    expect(seen).toEqual(["update a 1", "update a 2", "update b 1"]);
    expect(world.calls.map((call) => call.aborted())).toEqual([true, false]);
  });

  it("names at most 200 jobs a request", async () => {
    const { world, client } = setUp();
    for (let n = 0; n < 450; n += 1) client.watch(`job-${n}`);
    await pass(0);
    expect(world.calls.map((call) => query(call).length)).toEqual([200, 200, 50]);
  });

  it("shows states, and ends with its jobs", async () => {
    const { client, stream, seen, transports, handlers, world } = setUp();
    client.watch("a", handlers);
    await pass(0);
    await stream().write("retry: 1234\n\n");
    expect(transports.at(-1)).toBe("sse");
    await stream().state("a");
    await stream().state("a", { version: 2, status: "completed" });
    await stream().write("event: end\nid: end\ndata: {}\n\n");
    await stream().end();
    await pass(60_000);
    expect(seen).toEqual(["update a 1", "update a 2", "completed a 2"]);
    expect(world.calls).toHaveLength(1);
  });

  it("of short jobs, one after the other, is no reason to leave it", async () => {
    const { client, stream, world } = setUp();
    for (const id of ["a", "b", "c", "d"]) {
      client.watch(id);
      await pass(0);
      await stream().state(id, { status: "completed" });
      await stream().write("event: end\nid: end\ndata: {}\n\n");
      await stream().end();
      await pass(50);
    }
    expect(world.calls.map(query)).toEqual([["a"], ["b"], ["c"], ["d"]]);
  });

  it("is opened again after the time that the server named in retry", async () => {
    const { client, stream, world } = setUp();
    client.watch("a");
    await pass(0);
    await stream().write("retry: 2500\n\n");
    await pass(20_000);
    await stream().end();
    await pass(2_499);
    expect(world.calls).toHaveLength(1);
    await pass(1);
    expect(world.calls).toHaveLength(2);
  });

  it("that has been silent for 2.5 heartbeats gives way to long-polling", async () => {
    const { client, stream, world } = setUp({ heartbeatSeconds: 2 });
    client.watch("a");
    await pass(0);
    await stream().write(": ping\n\n");
    await pass(5_000);
    expect(world.asked("/a?wait=0&version=0")).toHaveLength(1);
  });

  it("that a proxy holds back gives way to long-polling within five seconds", async () => {
    const { client, world } = setUp();
    client.watch("a");
    await pass(5_000);
    expect(world.asked("/a?wait=0&version=0")).toHaveLength(1);
  });

  it.each([204, 404, 403, 200])("answered with %i and no stream gives way to long-polling", async (status) => {
    const { client, world } = setUp();
    world.answer = ({ pathname }) => (pathname.endsWith("/events") ? json({}, status) : null);
    client.watch("a");
    await pass(0);
    expect(world.asked("/a?wait=0&version=0")).toHaveLength(1);
  });

  it("answered with 429 gives way to long-polling at once, and is not asked for before Retry-After", async () => {
    const { client, world, transports, handlers } = setUp();
    const refusal = { code: "too_many_streams_of_client" };
    world.answer = (url) => {
      if (url.pathname.endsWith("/events")) return json(refusal, 429, { "Retry-After": "10" });
      return world.asked("/a?").length === 1 ? json(job()) : null;
    };
    client.watch("a", handlers);
    await pass(0);
    expect(transports).toEqual(["connecting", "long-poll"]);
    await pass(9_999);
    expect(world.asked("/events")).toHaveLength(1);
    await pass(10_000);
    expect(world.asked("/events")).toHaveLength(2);
    await pass(10_000);
    expect([world.asked("/events").length, transports.length]).toEqual([2, 2]);
  });

  it("answered with 503 is asked for again after Retry-After", async () => {
    const { client, world } = setUp();
    world.answer = () => json({}, 503, { "Retry-After": "7" });
    client.watch("a");
    await pass(6_999);
    expect(world.calls).toHaveLength(1);
    await pass(1);
    expect(world.calls).toHaveLength(2);
  });

  it("answered with 401 is asked for again with a new token", async () => {
    const getToken = vi.fn().mockResolvedValueOnce("t1").mockResolvedValueOnce("t2");
    const { client, world } = setUp({ getToken });
    world.answer = (_, { headers }) =>
      headers.get("Authorization") === "Bearer t2" ? new FakeStream() : json({}, 401);
    client.watch("a");
    await pass(0);
    expect(world.calls.map(({ headers }) => headers.get("Authorization"))).toEqual(["Bearer t1", "Bearer t2"]);
  });

  it("is opened again with a new token before the old one expires", async () => {
    const getToken = vi.fn().mockResolvedValueOnce("t1").mockResolvedValueOnce("t2");
    const { client, world, stream } = setUp({ getToken });
    client.watch("a");
    await pass(0);
    await stream().write("event: token-expiring\ndata: {}\n\n");
    await pass(0);
    expect(world.calls.map(({ headers }) => headers.get("Authorization"))).toEqual(["Bearer t1", "Bearer t2"]);
    expect(world.calls[0]?.aborted()).toBe(true);
  });

  it("brings a job that was watched before and is watched again", async () => {
    const { client, stream, seen, handlers } = setUp();
    client.watch("b");
    client.watch("a", handlers);
    await pass(0);
    await stream().state("a", { version: 2, status: "completed" });
    await pass(50);
    client.watch("a", handlers);
    await pass(50);
    await stream().state("a", { version: 2, status: "completed" });
    expect(seen).toEqual(["update a 2", "completed a 2", "update a 2", "completed a 2"]);
  });
});

describe("the parser of event streams", () => {
  function parsed(...chunks: string[]) {
    const events: string[][] = [];
    chunks.forEach(createParser((type, data) => void events.push([type, data])));
    return events;
  }

  it("reads the examples of WHATWG HTML 9.2.6", () => {
    expect(parsed("data: YHOO\ndata: +2\ndata: 10\n\n")).toEqual([["message", "YHOO\n+2\n10"]]);
    expect(parsed(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third\n\n")).toEqual([
      ["message", "first event"],
      ["message", "second event"],
      ["message", " third"],
    ]);
    expect(parsed("data\n\ndata\ndata\n\ndata:")).toEqual([
      ["message", ""],
      ["message", "\n"],
    ]);
    expect(parsed("data:test\n\ndata: test\n\n")).toEqual([
      ["message", "test"],
      ["message", "test"],
    ]);
  });

  it("takes every line ending, wherever the text is cut", () => {
    const text = 'event: job\r\ndata: {"a":\rdata: "b: c"}\n\r\n: comment\r\rretry: 1500\nretry: x\nnonsense: 1\n\n';
    const events = [
      ["job", '{"a":\n"b: c"}'],
      ["retry", "1500"],
    ];
    for (let cut = 0; cut <= text.length; cut += 1) {
      expect(parsed(...[text.slice(0, cut), text.slice(cut)].filter(Boolean))).toEqual(events);
    }
    expect(parsed(...text)).toEqual(events);
  });

  it("keeps an event for itself until it is whole, and forgets a type that had no data", () => {
    expect(parsed("event: job\ndata: 1\n")).toEqual([]);
    expect(parsed("event: job\n\ndata: 1\n\n")).toEqual([["message", "1"]]);
  });
});

describe("polling beside an event stream", () => {
  it("finds a job that is made after the stream was opened for a token that does not name it", async () => {
    const { client, world, stream, streams, seen, handlers } = setUp({ getToken: () => "of the owner" });
    let made = false;
    const { answer } = world;
    world.answer = (url, call) => (url.pathname.endsWith("/b") ? json(job("b"), made ? 200 : 404) : answer(url, call));
    client.watch("a", handlers);
    client.watch("b", handlers);
    await pass(0);
    await stream().state("a");
    await pass(10_000);
    made = true;
    await stream().write(": ping\n\n");
    await pass(15_000);
    expect(seen).toEqual(["update a 1", "update b 1"]);
    expect(streams).toHaveLength(2);
    expect(query(world.calls.findLast(({ url }) => url.pathname.endsWith("/events")) as Call)).toEqual(["a", "b"]);
  });

  it("leaves a job to the stream that is not known yet, where there are no tokens", async () => {
    const { client, world, stream } = setUp();
    client.watch("a");
    client.watch("b");
    await pass(0);
    await stream().state("a");
    await pass(30_000);
    expect(world.calls).toHaveLength(1);
  });

  it("brings the jobs past what four requests can name", async () => {
    const { client, world, stream } = setUp();
    const base = world.answer;
    world.answer = (url, call) => (url.pathname.endsWith("/job-800") ? json(job("job-800")) : base(url, call));
    const seen: string[] = [];
    for (let n = 0; n <= 800; n += 1)
      client.watch(`job-${n}`, { onUpdate: ({ requestId }) => void seen.push(requestId) });
    await pass(0);
    expect(world.asked("/events")).toHaveLength(4);
    await stream().write(": ping\n\n");
    await settled();
    expect(seen).toEqual(["job-800"]);
  });
});
