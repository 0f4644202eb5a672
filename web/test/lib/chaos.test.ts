/** A server that fails at random, by a seed: every watcher of every kind is told of every end, once; and how late. */

import { describe, expect, it, vi } from "vitest";
import { createHookcast, type Hookcast, type Job, type WatchOptions } from "../../src/lib/index.js";
import { FakeSocket, fakeTime, job, json, pass } from "./world.js";

fakeTime();
const JOBS = 1_000;
const GROUPS = 10;
const SECONDS = 300;
const CLOSES = [1006, 1011, 1012, 4001, 4002, 1000];
const encoder = new TextEncoder();

/** Mulberry32. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function groupOf(id: string): string {
  return `g${Number(id.slice(4)) % GROUPS}`;
}

function named(ids: readonly string[], groups: readonly string[]): string[] {
  return [...ids, ...groups.map((group) => `group ${group}`)];
}

/** In milliseconds: the median, the 99th percentile, and the worst. */
function spread(delays: number[]): string {
  const sorted = delays.toSorted((a, b) => a - b);
  const [median, p99, worst] = [0.5, 0.99, 1].map((part) => sorted[Math.ceil(sorted.length * part) - 1]);
  return `median ${median} ms, p99 ${p99} ms, worst ${worst} ms`;
}

interface Line {
  readonly names: Set<string>;
  readonly write: (job: Job) => void;
  readonly close: () => void;
}

/** Hookcast as far as it matters; what is in `blocked` cannot be reached, and while it is `stalled` nothing gets through. */
class Server {
  readonly jobs = new Map<string, Job>();
  /** When each job ended. */
  readonly ends = new Map<string, number>();
  readonly lines = new Set<Line>();
  readonly blocked = new Set<"websocket" | "sse" | "wait" | "all">();
  stalled = false;
  readonly #luck: () => number;

  constructor(luck: () => number) {
    this.#luck = luck;
  }

  change(id: string, status: Job["status"]): void {
    const version = (this.jobs.get(id)?.version ?? 0) + 1;
    const changed = job(id, { version, status, group: groupOf(id) });
    this.jobs.set(id, changed);
    if (status !== "pending") this.ends.set(id, Date.now());
    for (const line of this.lines) this.#tell(line, changed);
  }

  cut(): void {
    for (const line of this.lines) if (this.#luck() < 0.5) line.close();
  }

  #tell(line: Line, state: Job): void {
    const wanted = line.names.has(state.requestId) || line.names.has(`group ${state.group}`);
    if (wanted && !this.stalled) line.write(state);
  }

  #join(line: Line, ids: readonly string[], groups: readonly string[]): void {
    this.lines.add(line);
    const names = named(ids, groups);
    for (const name of names) line.names.add(name);
    for (const state of this.jobs.values())
      if (names.includes(state.requestId) || names.includes(`group ${state.group}`)) this.#tell(line, state);
  }

  readonly fetch = (async (input: string, { signal }: RequestInit = {}) => {
    await new Promise((resolve) => setTimeout(resolve, 5 + this.#luck() * 50));
    signal?.throwIfAborted();
    const { pathname, searchParams } = new URL(input);
    const kind = pathname.endsWith("/events") ? "sse" : searchParams.has("wait") ? "wait" : "poll";
    if (this.blocked.has("all") || (kind !== "poll" && this.blocked.has(kind))) throw new TypeError("blocked");
    if (this.#luck() < 0.05) return json({}, this.#luck() < 0.5 ? 502 : 503, { "Retry-After": "2" });
    if (kind === "sse") return this.#stream(searchParams, signal as AbortSignal);
    const group = searchParams.get("group");
    if (group !== null) return json({ jobs: [...this.jobs.values()].filter((state) => state.group === group) });
    const id = pathname.split("/").at(-1) ?? "";
    await this.#wait(id, Number(searchParams.get("version")), Number(searchParams.get("wait")), signal);
    const found = this.jobs.get(id);
    return found === undefined ? json({}, 404) : json(found);
  }) as unknown as typeof fetch;

  async #wait(id: string, version: number, seconds: number, signal?: AbortSignal | null): Promise<void> {
    for (let turn = 0; turn < seconds; turn += 1) {
      if ((this.jobs.get(id)?.version ?? 0) > version) return;
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      signal?.throwIfAborted();
    }
  }

  #stream(asked: URLSearchParams, signal: AbortSignal): Response {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>({}, undefined, { highWaterMark: 9_999 });
    const writer = writable.getWriter();
    const send = (text: string) => void writer.write(encoder.encode(text)).catch(() => {});
    const close = () => {
      this.lines.delete(line);
      void writer.close().catch(() => {});
    };
    const write = (state: Job) => send(`event: job\ndata: ${JSON.stringify(state)}\n\n`);
    const line: Line = { names: new Set(), write, close };
    signal.addEventListener("abort", () => {
      this.lines.delete(line);
      void writer.abort(signal.reason).catch(() => {});
    });
    send("retry: 1500\n\n");
    this.#join(line, asked.getAll("requestId"), asked.getAll("group"));
    return new Response(readable, { headers: { "Content-Type": "text/event-stream" } });
  }

  readonly WebSocket = (() => {
    const server = this;
    return class extends FakeSocket {
      readonly #line: Line = {
        names: new Set(),
        write: (state) => this.say({ type: "job", job: state }),
        close: () => this.#end(CLOSES[Math.floor(server.#luck() * CLOSES.length)] ?? 1006),
      };

      constructor(url: string, protocol: string) {
        super(url, protocol);
        setTimeout(() => {
          if (server.blocked.has("all") || server.blocked.has("websocket")) return this.#end(1006);
          if (this.readyState !== 0) return;
          this.readyState = 1;
          this.onopen?.();
        }, 20);
      }

      override send(text: string): void {
        const { type, requestIds, groups } = JSON.parse(text);
        if (type === "unsubscribe") for (const name of named(requestIds, groups)) this.#line.names.delete(name);
        if (type === "unsubscribe" || server.stalled) return;
        this.say({ type: "subscribed", requestIds, groups });
        server.#join(this.#line, requestIds, groups);
      }

      #end(code: number): void {
        server.lines.delete(this.#line);
        if (this.readyState < 3) void this.drop(code);
      }

      override close(): void {
        super.close();
        server.lines.delete(this.#line);
      }
    } as unknown as typeof WebSocket;
  })();
}

const FAULTS = ["websocket", "sse", "wait", "all"] as const;

/** All that is blocked at this time, whatever the luck, so that each rung of the ladder is used: one after the other. */
function spell(second: number): readonly (typeof FAULTS)[number][] {
  return second < 50 || second > 200 ? [] : FAULTS.slice(0, Math.min(Math.floor(second / 50), 3));
}

/** One second of bad luck. */
function disturb(server: Server, luck: () => number, second: number): void {
  if (luck() < 0.1) server.cut();
  for (const fault of FAULTS) {
    if (luck() < (server.blocked.has(fault) ? 0.15 : 0.03)) {
      if (!server.blocked.delete(fault)) server.blocked.add(fault);
    }
  }
  const only = spell(second);
  if (only.length > 0) server.blocked.clear();
  for (const fault of only) server.blocked.add(fault);
  if (server.stalled ? luck() < 0.05 : luck() < 0.01) server.stalled = !server.stalled;
}

/** What notes each end that it is told of, by the kind of its watcher. */
function watchers(server: Server, client: Hookcast) {
  const told = new Map<string, number>();
  const delays: number[] = [];
  const note = (watcher: string, { requestId }: Job) => {
    const key = `${watcher} ${requestId}`;
    told.set(key, (told.get(key) ?? 0) + 1);
    delays.push(Date.now() - (server.ends.get(requestId) ?? Number.NaN));
  };
  const noting = (watcher: string) => {
    const handler = (state: Job) => note(watcher, state);
    return { onCompleted: handler, onFailed: handler };
  };
  const follow = async (id: string) => {
    for await (const state of client.updates(id)) if (state.status !== "pending") note("updates", state);
  };
  return { told, delays, noting, follow };
}

function watchGroups(client: Hookcast, handlers: WatchOptions): void {
  for (let group = 0; group < GROUPS; group += 1) client.watchGroup(`g${group}`, handlers);
}

/** Some more end than there is room for. */
function endSome(server: Server, waiting: string[], luck: () => number): void {
  while (waiting.length > 20 + luck() * 20) server.change(waiting.shift() ?? "", luck() < 0.8 ? "completed" : "failed");
}

describe.each([1, 2, 3])("under random faults of seed %i", (seed) => {
  it(`each of ${JOBS} jobs is told to have ended, once to each watcher`, { timeout: 60_000 }, async () => {
    const luck = random(seed);
    vi.mocked(Math.random).mockImplementation(luck);
    const server = new Server(luck);
    const client = createHookcast({ url: "https://hooks.test", fetch: server.fetch, WebSocket: server.WebSocket });
    const { told, delays, noting, follow } = watchers(server, client);
    const transports = new Set<string>();
    watchGroups(client, { ...noting("watchGroup"), onTransport: (name) => void transports.add(name) });
    const waiting: string[] = [];
    let made = 0;
    const make = () => {
      const id = `job-${made++}`;
      waiting.push(id);
      server.change(id, "pending");
      client.watch(id, noting("watch"));
      void follow(id);
    };
    for (let second = 1; second <= SECONDS; second += 1) {
      while (made < (JOBS * second) / SECONDS) make();
      endSome(server, waiting, luck);
      disturb(server, luck, second);
      await pass(1_000);
    }
    for (const id of waiting) server.change(id, "completed");
    server.blocked.clear();
    server.stalled = false;
    await pass(120_000);
    client.close();
    expect([...transports]).toEqual(expect.arrayContaining(["websocket", "sse", "long-poll", "poll"]));
    expect([told.size, new Set(told.values())]).toEqual([3 * JOBS, new Set([1])]);
    // biome-ignore lint/suspicious/noConsole: what the run has found out
    console.info(`seed ${seed}: ${told.size} ends told, ${spread(delays)} after them`);
    await pass(60_000);
  });
});
