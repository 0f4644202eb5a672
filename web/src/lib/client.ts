/** The client: `createHookcast`. */

import { createBoard, GATHER_MS } from "./board.js";
import { openConnection } from "./connection.js";
import { HookcastError } from "./errors.js";
import { type Ask, jobPath, request, type Server } from "./http.js";
import type { Link, LinkEvents } from "./link.js";
import { LADDER } from "./state.js";
import { createTokens } from "./tokens.js";
import type { Env } from "./transports/transport.js";
import type { CallOptions, HookcastOptions, Job, Submission, Submitted, Transport, WatchOptions } from "./types.js";
import { asJob, type Fields, isTerminal, parse, problem, rawJson, readJob, topicsOf } from "./wire.js";

export const SUBMIT_MS = 60_000;
export const SUBMIT_TRIES = 3;

/** Options of `submit`. */
export interface SubmitOptions extends CallOptions {
  /** Idempotency key: submissions with the same key create one job. Random by default. */
  readonly idempotencyKey?: string;
}

/** A client, created by `createHookcast`. */
export interface Hookcast {
  /**
   * Watch a job; the server need not know it yet. Returns a function that ends the watch. The watch also ends by itself
   * once the job has ended.
   */
  watch<JobResult = unknown>(requestId: string, options?: WatchOptions<JobResult>): () => void;
  /** Watch every job of a group, future ones included. Returns a function that ends the watch. */
  watchGroup<JobResult = unknown>(name: string, options?: WatchOptions<JobResult>): () => void;
  /**
   * Iterate over the states of a job until it has ended or the client is closed. A slow consumer skips to the newest
   * state. Throws the abort reason of `signal`.
   */
  updates<JobResult = unknown>(requestId: string, options?: CallOptions): AsyncGenerator<Job<JobResult>, void>;
  /**
   * Submit a request to fal's queue. Network errors are retried, up to three attempts in all; the idempotency key makes
   * them one job. Rejects with HookcastError; after `submit_outcome_unknown`, another key submits once more.
   */
  submit<JobResult = unknown>(submission: Submission, options?: SubmitOptions): Promise<Submitted<JobResult>>;
  /** Get the current state of a job. Rejects with HookcastError, such as `job_not_found`. */
  get<JobResult = unknown>(requestId: string, options?: CallOptions): Promise<Job<JobResult>>;
  /** Ask fal to cancel a job, and return its state. Rejects with HookcastError, such as `already_terminal`. */
  cancel<JobResult = unknown>(requestId: string, options?: CallOptions): Promise<Job<JobResult>>;
  /** End all watches and close the connection permanently. `submit`, `get` and `cancel` still work. */
  close(): void;
}

/** Create a client. It connects at the first watch; all its watches share one connection. */
export function createHookcast(options: HookcastOptions = {}): Hookcast {
  const { url = "/" } = options;
  const server: Server = {
    url: (path) => new URL(`${url.replace(/\/$/, "")}/api/fal-jobs${path}`, globalThis.location?.href).href,
    fetch: (...args) => (options.fetch ?? fetch)(...args),
    tokens: createTokens(options.getToken),
  };
  const board = createBoard((events) => connect(server, events, options), options.whenHidden);

  const watch = (requestId: string, handlers: WatchOptions = {}) => board.add(`job:${requestId}`, handlers);
  const job = async (path: string, ask: Ask) => {
    const found = await call(server, path, ask, readJob);
    board.state(found);
    return found;
  };
  return {
    watch: watch as Hookcast["watch"],
    watchGroup: (name, handlers = {}) => board.add(`group:${name}`, handlers as WatchOptions),
    updates: (requestId, ask = {}) => statesOf((handlers) => watch(requestId, handlers), ask) as never,
    submit: async (submission, { idempotencyKey, signal } = {}) => {
      // `crypto.randomUUID` needs a secure context: it is missing on plain http, except on loopback.
      const key = idempotencyKey ?? crypto.getRandomValues(new Uint32Array(4)).join("-");
      const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
      const ask = { method: "POST", headers, signal, timeout: SUBMIT_MS, body: JSON.stringify(submission) };
      for (let attempt = 1; ; attempt += 1) {
        try {
          return (await call(server, "", ask, readSubmitted)) as never;
        } catch (error) {
          // Safe to retry: the same key is the same job.
          if ((error as HookcastError).code !== "network" || attempt === SUBMIT_TRIES) throw error;
        }
      }
    },
    get: (requestId, ask = {}) => job(jobPath(requestId), ask) as never,
    cancel: (requestId, ask = {}) => job(`${jobPath(requestId)}/cancel`, { ...ask, method: "POST" }) as never,
    close: board.close,
  };
}

/** Open the connection that all tabs share or, where tabs cannot share, one for this page alone. */
async function connect(server: Server, events: LinkEvents, options: HookcastOptions): Promise<Link> {
  const { transports = LADDER, heartbeatSeconds = 15, whenHidden, WebSocket = globalThis.WebSocket } = options;
  const ladder = LADDER.filter((name) => [...transports, "poll"].includes(name));
  const env: Env = { ...server, ...events, WebSocket, heartbeatSeconds, whenHidden, ladder };
  const { shareTabs = !options.fetch && !options.WebSocket } = options;
  try {
    if (shareTabs && navigator.locks) {
      const { openTabs } = await import("./tabs/index.js");
      return await openTabs(env, openConnection, readJob, rawJson, HookcastError, topicsOf, GATHER_MS);
    }
  } catch {
    // No navigator, the code failed to load, or the browser refuses.
  }
  return openConnection(env);
}

/** Send a request, and return what `read` makes of a successful response. Rejects with HookcastError. */
async function call<Answer>(
  server: Server,
  path: string,
  ask: Ask,
  read: (body: string) => Answer | null,
): Promise<Answer> {
  const { status, body } = await request(server, path, ask);
  if (status >= 400) throw problem(status, body);
  const answer = read(body);
  if (!answer) throw new HookcastError("unreadable", "Unreadable answer");
  return answer;
}

function readSubmitted(body: string): Fields | null {
  const fields = parse(body);
  return asJob(fields.job) && fields;
}

/** Yield the states of a job as they arrive, or the newest one to a slow consumer. */
async function* statesOf(
  watch: (handlers: WatchOptions) => () => void,
  { signal }: CallOptions,
): AsyncGenerator<Job, void> {
  let next: Job | undefined;
  let closed = false;
  let wake = () => {};
  const onUpdate = (job: Job) => {
    next = job;
    wake();
  };
  const onTransport = (transport: Transport) => {
    closed = transport === "closed";
    wake();
  };
  const stop = watch({ onUpdate, onTransport });
  signal?.addEventListener("abort", () => wake());
  try {
    while (!closed) {
      signal?.throwIfAborted();
      if (next) {
        const job: Job = next;
        next = undefined;
        yield job;
        if (isTerminal(job)) return;
      } else await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    stop();
  }
}
