/** The client: `createHookcast`. */

import { createBoard, type Doubt, GATHER_MS } from "./board.js";
import { openConnection } from "./connection.js";
import { HookcastError } from "./errors.js";
import { type Ask, jobPath, request, type Server } from "./http.js";
import type { Link, LinkEvents } from "./link.js";
import { LADDER } from "./state.js";
import { createTokens } from "./tokens.js";
import type { Env } from "./transports/transport.js";
import type { CallOptions, HookcastOptions, Job, Submission, Submitted, WatchOptions } from "./types.js";
import { asJob, type Fields, parse, problem, rawJson, readJob, topicsOf } from "./wire.js";

export const SUBMIT_MS = 60_000;
export const SUBMIT_TRIES = 3;
/** After this time without a connection, the reason is looked for; `RELOAD_MS` later, code that cannot be loaded is one. */
export const DOUBT_MS = 4_000;
export const RELOAD_MS = 16_000;

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
   * state. Throws the abort reason of `signal`; with `failFast`, what `onError` of a watch is told.
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
  const board = createBoard((events) => connect(server, events, options), doubter(server), options.whenHidden);

  const watch = (requestId: string, handlers: WatchOptions = {}) => board.add(`job:${requestId}`, handlers);
  const job = async (path: string, ask: Ask) => {
    const found = await call(server, path, ask, readJob);
    board.state(found);
    return found;
  };
  return {
    watch: watch as Hookcast["watch"],
    watchGroup: (name, handlers = {}) => board.add(`group:${name}`, handlers as WatchOptions),
    updates: async function* (requestId, ask = {}) {
      const { statesOf } = await import("./updates.js");
      const own = (handlers: WatchOptions) => watch(requestId, handlers);
      yield* statesOf(own, ask) as AsyncGenerator<never>;
    },
    submit: async (submission, { idempotencyKey, ...options } = {}) => {
      // `crypto.randomUUID` needs a secure context: it is missing on plain http, except on loopback.
      const key = idempotencyKey ?? crypto.getRandomValues(new Uint32Array(4)).join("-");
      const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
      const ask = { ...options, method: "POST", headers, timeout: SUBMIT_MS, body: JSON.stringify(submission) };
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

/** Return what finds out why there is no connection, with code that is loaded on demand. */
function doubter(server: Server): Doubt {
  return (met, tell) => {
    const over = new AbortController();
    const look = () =>
      import("./diagnosis.js").then(
        ({ diagnose }) => diagnose(server, over.signal, met, tell, HookcastError),
        () => {
          // The code comes from where the page came from, which is away.
          if (!over.signal.aborted) timer = setTimeout(tell, RELOAD_MS, new HookcastError("unreachable", "No answer"));
        },
      );
    let timer = setTimeout(look, DOUBT_MS);
    return () => {
      over.abort();
      clearTimeout(timer);
    };
  };
}

/** Send a request, and return what `read` makes of a successful response. Rejects with HookcastError. */
async function call<Answer>(
  server: Server,
  path: string,
  ask: Ask & CallOptions,
  read: (body: string) => Answer | null,
): Promise<Answer> {
  try {
    const { status, body } = await request(server, path, ask);
    if (status >= 400) throw problem(status, body);
    const answer = read(body);
    if (!answer) throw new HookcastError("unreadable", "Unreadable answer");
    return answer;
  } catch (error) {
    throw ask.failFast
      ? await (await import("./diagnosis.js")).explain(server, error as HookcastError, HookcastError)
      : error;
  }
}

function readSubmitted(body: string): Fields | null {
  const fields = parse(body);
  return asJob(fields.job) && fields;
}
