import { afterEach, describe, expect, it, vi } from "vitest";
import { createHookcast, type Hookcast, type HookcastOptions } from "../../src/lib/index.js";
import { arrived } from "./browser.js";
import { type Call, fakeTime, job, json, pass, recorder, World } from "./world.js";

fakeTime();
let client: Hookcast | undefined;
afterEach(() => client?.close());

function setUp(options: HookcastOptions = {}) {
  const world = new World();
  client = createHookcast({ ...world.options, transports: ["poll"], ...options });
  return { world, client, ...recorder() };
}

describe("polling", () => {
  it("asks every three seconds, with the ETag of what is known, until the job has ended", async () => {
    const { world, client, seen, transports, handlers } = setUp();
    const answers = [json(job("a")), json({}, 304), json(job("a", { version: 2, status: "failed" }))];
    world.answer = () => answers.shift();
    client.watch("a", handlers);
    await pass(2_999);
    expect(world.calls).toHaveLength(1);
    await pass(60_000);
    expect(world.calls.map(({ url }) => url.href)).toEqual(Array(3).fill("https://hooks.test/base/api/fal-jobs/a"));
    expect(world.calls.map(({ headers }) => headers.get("If-None-Match"))).toEqual(['"0"', '"1"', '"1"']);
    expect(seen).toEqual(["update a 1", "update a 2", "failed a 2"]);
    expect(transports).toContain("poll");
  });

  it("is known to work before the first state is shown", async () => {
    const { world, client, transports } = setUp();
    world.answer = () => json(job("a", { status: "completed" }));
    const shown: unknown[] = [];
    client.watch("a", { onTransport: (name) => transports.push(name), onUpdate: () => shown.push(transports.at(-1)) });
    await pass(0);
    expect(shown).toEqual(["poll"]);
  });

  it("asks as often as the most impatient watch wishes", async () => {
    const { world, client } = setUp();
    world.answer = () => json(job("a"));
    client.watch("a", { pollInterval: 10_000 });
    client.watch("a", { pollInterval: 500 });
    await pass(2_000);
    expect(world.calls).toHaveLength(5);
  });

  it("asks less often for a job that is not known yet", async () => {
    const { world, client, seen, handlers } = setUp();
    world.answer = () => json({ code: "job_not_found" }, 404);
    client.watch("a", handlers);
    await pass(23_999);
    expect(world.calls).toHaveLength(4);
    world.answer = () => json(job("a"));
    await pass(1);
    expect(seen).toEqual(["update a 1"]);
  });

  it.each(["20", "Mon, 23 Nov 2026 10:00:20 GMT"])("waits as long as Retry-After: %s says", async (limit) => {
    const { world, client } = setUp();
    world.answer = () => json({}, 429, { "Retry-After": limit });
    client.watch("a");
    client.watch("b");
    await pass(19_999);
    expect(world.calls).toHaveLength(2);
    world.answer = () => json(job("a"));
    await pass(1);
    expect(world.calls).toHaveLength(4);
  });

  it("waits so long each time", async () => {
    const { world, client } = setUp();
    const asked: number[] = [];
    world.answer = ({ search }) => {
      if (search !== "?limit=1") asked.push(Date.now());
      return json({}, 429, { "Retry-After": "60" });
    };
    client.watch("a");
    await pass(400_000);
    const gaps = asked.slice(1).map((time, index) => time - (asked[index] ?? 0));
    expect(gaps.length).toBeGreaterThan(3);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(60_000);
  });

  it("goes on after pauses while the server is away", async () => {
    const { world, client, seen, handlers } = setUp();
    client.watch("a", handlers);
    await pass(120_000);
    expect(world.calls.length).toBeGreaterThan(5);
    expect(world.calls.length).toBeLessThan(12);
    world.answer = () => json(job("a"));
    await pass(30_000);
    expect(seen).toEqual(["error unreachable", "update a 1"]);
  });

  it("goes on for the other jobs while the requests for one fail", async () => {
    const { world, client, transports, handlers } = setUp();
    world.answer = ({ pathname }) => (pathname.endsWith("/a") ? json({}, 502) : json(job(pathname.at(-1))));
    for (const id of ["a", "b", "c", "d"]) client.watch(id, handlers);
    await pass(12_000);
    expect([...new Set(transports)]).toEqual(["connecting", "poll"]);
    expect(transports.at(-1)).toBe("poll");
    expect([world.asked("fal-jobs/a"), world.asked("fal-jobs/b")].map((calls) => calls.length)).toEqual([5, 5]);
  });

  it("gives up a request that nobody answers", async () => {
    const { world, client } = setUp();
    world.answer = () => null;
    client.watch("a");
    await pass(16_000);
    expect(world.calls).toHaveLength(2);
    expect(world.calls[0]?.aborted()).toBe(true);
  });

  it("renews a token that is refused, once for all requests", async () => {
    const getToken = vi.fn().mockResolvedValueOnce("t1").mockResolvedValueOnce("t2");
    const { world, client, seen, handlers } = setUp({ getToken });
    world.answer = ({ pathname }, { headers }) =>
      headers.get("Authorization") === "Bearer t2" ? json(job(pathname.at(-1))) : json({}, 401);
    for (const id of ["a", "b", "c"]) client.watch(id, handlers);
    await pass(0);
    expect(seen).toEqual(["update a 1", "update b 1", "update c 1"]);
    expect(getToken).toHaveBeenCalledTimes(2);
  });

  it("reads what changed last of a group, page by page up to what it knows, and nothing while nothing changes", async () => {
    const { world, client, seen, handlers } = setUp();
    const all = Array.from({ length: 450 }, (_, number) => job(`old-${number}`, { group: "g" }));
    let version = 0;
    world.answer = ({ searchParams }, { headers }) => {
      const [limit, from] = [Number(searchParams.get("limit")), Number(searchParams.get("cursor"))];
      const tag = `W/"${version} ${limit} ${from}"`;
      if (headers.get("If-None-Match") === tag) return json({}, 304, { ETag: tag });
      const nextCursor = from + limit < all.length ? String(from + limit) : null;
      return json({ jobs: all.slice(from, from + limit), nextCursor }, 200, { ETag: tag });
    };
    const asked = () => world.calls.splice(0).map(({ url }) => url.searchParams);
    const pages = () => asked().map((query) => `${query.get("limit")} ${query.get("cursor") ?? 0}`);
    client.watchGroup("g", handlers);
    await arrived();
    await pass(0);
    expect(asked().map(String)).toEqual([
      "group=g&order=updated&limit=200",
      "group=g&order=updated&limit=200&cursor=200",
      "group=g&order=updated&limit=200&cursor=400",
    ]);
    expect(seen.splice(0)).toHaveLength(450);
    await pass(6_000);
    expect([pages(), seen]).toEqual([["20 0", "20 0"], []]);
    version += 1;
    all.unshift(...all.splice(400, 25).map((known) => ({ ...known, version: 2 })));
    await pass(3_000);
    expect([pages(), seen.splice(0)]).toEqual([
      ["20 0", "20 20"],
      all.slice(0, 25).map((known) => `update ${known.requestId} 2`),
    ]);
    version += 1;
    all[300] = job(all[300]?.requestId, { group: "g", version: 7 });
    await pass(60_000);
    expect(pages().filter((page) => page.startsWith("200"))).toEqual(["200 0", "200 200", "200 400"]);
    expect(seen).toEqual([`update ${all[300].requestId} 7`]);
  });

  it("reads a group again that it could read in part only", async () => {
    const { world, client, seen, handlers } = setUp();
    let away = true;
    world.answer = ({ searchParams }) => {
      if (!searchParams.has("cursor"))
        return json({ jobs: [job("a", { group: "g" })], nextCursor: "next" }, 200, { ETag: '"1"' });
      return away ? json({}, 502) : json({ jobs: [job("b", { group: "g" })], nextCursor: null });
    };
    client.watchGroup("g", handlers);
    await pass(0);
    away = false;
    await pass(3_000);
    expect(seen).toEqual(["update a 1", "update b 1"]);
    expect(world.calls.map(({ headers }) => headers.get("If-None-Match"))).toEqual([null, null, null, null]);
  });
});

describe("long-polling", () => {
  const held = (world: World) =>
    world.calls.filter(({ url, aborted }) => url.searchParams.get("wait") === "25" && !aborted());

  it("asks for what is newer than the known state, again as soon as it is answered", async () => {
    const { world, client } = setUp({ transports: ["long-poll"] });
    const answers = [json({}, 304), json(job("a")), json(job("a", { version: 2 }))];
    world.answer = () => answers.shift() ?? null;
    client.watch("a");
    await pass(0);
    await pass(5);
    const queries = ["?wait=0&version=0", ...[0, 1, 2].map((version) => `?wait=25&version=${version}`)];
    expect(world.calls.map(({ url }) => url.search)).toEqual(queries);
  });

  it("is known to work at once, though the job has nothing new", async () => {
    const { world, client, transports, handlers } = setUp({ transports: ["long-poll"] });
    world.answer = ({ searchParams }) => (searchParams.get("wait") === "0" ? json({}, 304) : null);
    client.watch("a", handlers);
    await pass(0);
    expect(transports.at(-1)).toBe("long-poll");
    await pass(5);
    expect(held(world)).toHaveLength(1);
  });

  it("is not made a storm by a server that does not know how to wait", async () => {
    const { world, client } = setUp({ transports: ["long-poll"] });
    world.answer = () => json(job("a"));
    client.watch("a");
    await pass(30_000);
    expect(world.calls.length).toBeLessThan(13);
  });

  it("holds three requests at most, the other jobs are polled", async () => {
    const { world, client } = setUp({ transports: ["long-poll"] });
    world.answer = ({ searchParams }) => (searchParams.get("wait") === "25" ? null : json({}, 304));
    for (const id of ["a", "b", "c", "d", "e"]) client.watch(id);
    await pass(3_000);
    expect(held(world)).toHaveLength(3);
    expect(world.asked("/d")).toHaveLength(2);
  });

  it("gives way to polling when it fails three times", async () => {
    const { world, client, transports, handlers } = setUp({ transports: ["long-poll"] });
    world.answer = ({ searchParams }) => (searchParams.has("wait") ? undefined : json(job("a")));
    client.watch("a", handlers);
    await pass(3_000);
    expect(transports.at(-1)).toBe("poll");
    expect((world.calls.at(-1) as Call).url.search).toBe("");
  });

  it("holds the requests for jobs, however many groups are watched", async () => {
    const { world, client } = setUp({ transports: ["long-poll"] });
    world.answer = ({ searchParams }) => (searchParams.get("wait") === "25" ? null : json({ jobs: [] }));
    for (const name of ["a", "b", "c", "d"]) client.watchGroup(name);
    client.watch("job");
    await pass(5);
    expect(held(world)).toHaveLength(1);
  });

  it("gives way to polling when the requests that are held fail, though the others are answered", async () => {
    const { world, client, seen, transports, handlers } = setUp({ transports: ["long-poll"] });
    world.answer = ({ searchParams }) =>
      searchParams.has("wait") ? undefined : json(searchParams.has("group") ? { jobs: [] } : job("a"));
    for (const name of ["a", "b", "c", "d"]) client.watchGroup(name);
    client.watch("a", handlers);
    await pass(10_000);
    expect([transports.at(-1), ...seen]).toEqual(["poll", "update a 1"]);
  });
});
