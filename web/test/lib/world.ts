/** A server and a clock that a test holds in its hands. */

import { AsyncResource } from "node:async_hooks";
import { afterEach, beforeEach, expect, vi } from "vitest";
import type { Job } from "../../src/lib/types.js";

export function job(requestId = "a", changes: Partial<Job> = {}): Job {
  return {
    requestId,
    status: "pending",
    version: 1,
    endpointId: "fal-ai/flux/dev",
    progress: { phase: "queued", queuePosition: 2, logs: [], startedAt: null, expectedSeconds: null },
    result: null,
    error: null,
    errorDetail: null,
    endedBy: null,
    owner: null,
    group: null,
    metadata: {},
    createdAt: "2026-11-23T10:00:00.000Z",
    updatedAt: "2026-11-23T10:00:00.000Z",
    completedAt: null,
    ...changes,
  };
}

export class FakeSocket {
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  readonly sent: Record<string, unknown>[] = [];
  /** What happens to it happens to whoever opened it. */
  readonly #enter = AsyncResource.bind((task: () => void) => task());

  readonly url: string;
  readonly protocol: string;

  constructor(url: string, protocol: string) {
    this.url = url;
    this.protocol = protocol;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.readyState = 3;
  }

  /** The handshake succeeds, and the server answers the subscription. */
  async accept(): Promise<void> {
    this.readyState = 1;
    this.#enter(() => this.onopen?.());
    await settled();
    this.say({ type: "subscribed", requestIds: [], groups: [] });
  }

  say(message: object): void {
    this.receive(JSON.stringify(message));
  }

  receive(data: string): void {
    if (this.readyState === 1) this.#enter(() => this.onmessage?.({ data }));
  }

  state(requestId: string, changes: Partial<Job> = {}): void {
    this.say({ type: "job", job: job(requestId, changes) });
  }

  /** The server closes, or the network does. */
  async drop(code = 1006): Promise<void> {
    this.readyState = 3;
    this.#enter(() => this.onclose?.({ code }));
    await settled();
  }

  /** Names subscribed to, in order. */
  get subscribed(): unknown[] {
    return this.sent.filter(({ type }) => type === "subscribe").flatMap(({ requestIds }) => requestIds);
  }
}

/** An event stream that a test writes into. */
export class FakeStream {
  readonly #pipe = new TransformStream<Uint8Array, Uint8Array>({}, { highWaterMark: 99 }, { highWaterMark: 99 });
  readonly #writer = this.#pipe.writable.getWriter();
  readonly response = new Response(this.#pipe.readable, {
    headers: { "Content-Type": "text/event-stream; charset=utf-8" },
  });

  async write(text: string): Promise<void> {
    void this.#writer.write(new TextEncoder().encode(text));
    await settled();
  }

  async state(requestId: string, changes: Partial<Job> = {}): Promise<void> {
    await this.write(`event: job\ndata: ${JSON.stringify(job(requestId, changes))}\n\n`);
  }

  async end(): Promise<void> {
    void this.#writer.close();
    await settled();
  }

  /** As a browser does it: the reader of a request that is called off hears of it. */
  follow(signal: AbortSignal | null | undefined): void {
    signal?.addEventListener("abort", () => void this.#writer.abort(signal.reason).catch(() => {}));
  }
}

type Reply = Response | FakeStream | (() => Response);

export interface Call {
  readonly url: URL;
  readonly headers: Headers;
  readonly init: RequestInit;
  readonly aborted: () => boolean;
}

export class World {
  readonly sockets: FakeSocket[] = [];
  readonly calls: Call[] = [];
  /** The requests that look for the reason why there is no connection. */
  readonly looks: Call[] = [];
  /** What answers a request; without an answer the network fails. `null`: nobody answers, ever. */
  answer: (url: URL, call: Call) => Reply | null | undefined = () => undefined;

  readonly WebSocket = (() => {
    const { sockets } = this;
    return class extends FakeSocket {
      constructor(url: string, protocol: string) {
        super(url, protocol);
        sockets.push(this);
      }
    } as unknown as typeof WebSocket;
  })();

  readonly fetch = (async (input: string, init: RequestInit = {}) => {
    const url = new URL(input);
    const { signal } = init;
    const call: Call = { url, init, headers: new Headers(init.headers), aborted: () => signal?.aborted ?? false };
    (url.pathname.endsWith("/healthz") || url.search === "?limit=1" ? this.looks : this.calls).push(call);
    signal?.throwIfAborted();
    const reply = this.answer(url, call);
    if (reply === undefined) throw new TypeError("Failed to fetch");
    if (reply instanceof FakeStream) reply.follow(signal);
    if (reply !== null)
      return reply instanceof FakeStream ? reply.response : typeof reply === "function" ? reply() : reply;
    return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
  }) as unknown as typeof fetch;

  get socket(): FakeSocket {
    const last = this.sockets.at(-1);
    if (last === undefined) throw new Error("no socket was opened");
    return last;
  }

  /** Requests whose path and query contain this. */
  asked(part: string): Call[] {
    return this.calls.filter(({ url }) => `${url.pathname}${url.search}`.includes(part));
  }

  get options() {
    return { url: "https://hooks.test/base/", fetch: this.fetch, WebSocket: this.WebSocket };
  }
}

/** Everything that can happen without time has happened. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 30; turn += 1) await Promise.resolve();
}

export async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
  await settled();
}

/** Answer as the server does: a problem names its status, a page of jobs has a cursor. */
export function json(value: object, status = 200, headers: Record<string, string> = {}): Response {
  const body = { ...("code" in value && { status }), ...("jobs" in value && { nextCursor: null }), ...value };
  return new Response(status === 204 || status === 304 ? null : JSON.stringify(body), { status, headers });
}

/** Fake time, no jitter (each random part is whole), and no timer left behind. */
export function fakeTime(): void {
  beforeEach(() => {
    vi.useFakeTimers({ now: Date.parse("2026-11-23T10:00:00Z") });
    vi.spyOn(Math, "random").mockReturnValue(1);
    vi.spyOn(AbortSignal, "timeout").mockImplementation((ms) => {
      const controller = new AbortController();
      const timer = setTimeout(() => controller.abort(new DOMException("late", "TimeoutError")), ms);
      late.push(timer);
      return controller.signal;
    });
  });
  afterEach(() => {
    for (const timer of late.splice(0)) clearTimeout(timer);
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });
  const late: ReturnType<typeof setTimeout>[] = [];
}

/** What is rejected during `run`, and handled by nobody; vitest does not hear of it. */
export async function unhandled(run: () => Promise<void>): Promise<unknown[]> {
  const found: unknown[] = [];
  const listeners = process.rawListeners("unhandledRejection") as NodeJS.UnhandledRejectionListener[];
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", (reason) => found.push(reason));
  try {
    await run();
    vi.useRealTimers();
    await new Promise((resolve) => setImmediate(resolve)); // Node tells between two turns of its loop
    return found;
  } finally {
    vi.useFakeTimers();
    process.removeAllListeners("unhandledRejection");
    for (const listener of listeners) process.on("unhandledRejection", listener);
  }
}

/** Every callback of a watch, as a list of what happened. */
export function recorder() {
  const seen: string[] = [];
  const note =
    (name: string) =>
    ({ requestId, version }: Job) =>
      void seen.push(`${name} ${requestId} ${version}`);
  const handlers = {
    onUpdate: note("update"),
    onCompleted: note("completed"),
    onFailed: note("failed"),
    onError: ({ code }: { code: string }) => void seen.push(`error ${code}`),
  };
  const transports: string[] = [];
  return { seen, transports, handlers: { ...handlers, onTransport: (name: string) => void transports.push(name) } };
}
