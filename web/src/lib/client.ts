/** What callers hold: `createHookcast`. */

import { createBoard } from "./board.js";
import { openConnection } from "./connection.js";
import { HookcastError } from "./errors.js";
import { type Ask, jobPath, request, type Server } from "./http.js";
import type { LinkEvents } from "./link.js";
import { LADDER } from "./state.js";
import { createTokens } from "./tokens.js";
import type { CallOptions, HookcastOptions, Job, Submission, Submitted, WatchOptions } from "./types.js";
import { asJob, isTerminal, parse, problem } from "./wire.js";

const SUBMIT_MS = 60_000;
const SUBMIT_TRIES = 3;

export interface SubmitOptions extends CallOptions {
  /** The same key is the same job, however often it is sent; a random one by default. */
  readonly idempotencyKey?: string;
}

export interface Hookcast {
  /** Watch a job, known to the server or not yet. Answers a function that ends the watch; it ends with the job anyway. */
  watch<JobResult = unknown>(requestId: string, options?: WatchOptions<JobResult>): () => void;
  /** Watch every job of a group, those to come, too. Answers a function that ends the watch. */
  watchGroup<JobResult = unknown>(name: string, options?: WatchOptions<JobResult>): () => void;
  /** The states of a job until it has ended; who is slow gets the newest one. */
  updates<JobResult = unknown>(requestId: string, options?: CallOptions): AsyncGenerator<Job<JobResult>, void>;
  /** Send a request to fal's queue. Raises HookcastError; a network that fails is tried three times. */
  submit<JobResult = unknown>(submission: Submission, options?: SubmitOptions): Promise<Submitted<JobResult>>;
  /** The present state. Raises HookcastError, `job_not_found` among others. */
  get<JobResult = unknown>(requestId: string, options?: CallOptions): Promise<Job<JobResult>>;
  /** Ask fal to cancel. Raises HookcastError, `already_terminal` among others. */
  cancel<JobResult = unknown>(requestId: string, options?: CallOptions): Promise<Job<JobResult>>;
  /** End every watch and the connection, for good. Requests still work. */
  close(): void;
}

export function createHookcast(options: HookcastOptions = {}): Hookcast {
  const server: Server = {
    url: (path) => address(options.url ?? "/", path),
    fetch: options.fetch ?? ((...args) => fetch(...args)),
    tokens: createTokens(options.getToken),
  };
  let closed = false;
  const board = createBoard((events) => connect(server, events, options));

  const watch = (requestId: string, handlers: WatchOptions = {}) => board.add(`job:${requestId}`, handlers);
  async function* updates(requestId: string, { signal }: CallOptions = {}): AsyncGenerator<Job, void> {
    let next: Job | undefined;
    let wake = () => {};
    const onUpdate = (job: Job) => {
      next = job;
      wake();
    };
    const stop = watch(requestId, { onUpdate, onTransport: () => wake() });
    signal?.addEventListener("abort", () => wake());
    try {
      while (!closed) {
        signal?.throwIfAborted();
        const job = next;
        next = undefined;
        if (job) yield job;
        if (job && isTerminal(job)) return;
        if (!next) await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      stop();
    }
  }
  const call = async (path: string, ask: Ask) => {
    const { status, body } = await request(server, path, ask);
    if (status >= 400) throw problem(status, body);
    return body;
  };
  const job = async (path: string, ask: Ask) => {
    const body = await call(path, ask);
    const found = readable(asJob(parse(body), body));
    board.state(found);
    return found;
  };
  return {
    watch: watch as Hookcast["watch"],
    watchGroup: (name, handlers = {}) => board.add(`group:${name}`, handlers as WatchOptions),
    updates: updates as Hookcast["updates"],
    submit: async (submission, { idempotencyKey = newKey(), signal } = {}) => {
      const headers = { "Content-Type": "application/json", "Idempotency-Key": idempotencyKey };
      const ask = { method: "POST", headers, body: JSON.stringify(submission), timeout: SUBMIT_MS, signal };
      for (let attempt = 1; ; attempt += 1) {
        try {
          const value = parse(await call("", ask));
          readable(asJob(value.job));
          return value as never;
        } catch (error) {
          // The key makes it the same job.
          if ((error as HookcastError).code !== "network" || attempt === SUBMIT_TRIES) throw error;
        }
      }
    },
    get: (requestId, ask = {}) => job(jobPath(requestId), ask) as never,
    cancel: (requestId, ask = {}) => job(`${jobPath(requestId)}/cancel`, { ...ask, method: "POST" }) as never,
    close: () => {
      closed = true;
      board.close();
    },
  };
}

/** The link of this page alone. */
function connect(server: Server, events: LinkEvents, options: HookcastOptions) {
  const { transports = LADDER, heartbeatSeconds = 15, whenHidden } = options;
  const socket = options.WebSocket ?? globalThis.WebSocket;
  const usable = LADDER.filter(
    (name) => name === "poll" || (transports.includes(name) && (name !== "websocket" || socket)),
  );
  const env = { ...server, ...events, WebSocket: socket, heartbeatMs: heartbeatSeconds * 1000 };
  return openConnection(env, events, usable, whenHidden === "pause");
}

function readable(job: Job | null): Job {
  if (job === null) throw new HookcastError("unreadable", "No answer of Hookcast's");
  return job;
}

function address(base: string, path: string): string {
  const { origin, pathname } = new URL(base, globalThis.location?.href);
  return `${origin}${pathname.replace(/\/$/, "")}/api/fal-jobs${path}`;
}

/** `crypto.randomUUID` is missing on plain-http origins other than loopback. */
function newKey(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}
