/** The client: `createHookcast`. */

import { createBoard, type Doubt, GATHER_MS } from "./board.js";
import type { Calls } from "./calls.js";
import { openConnection } from "./connection.js";
import { HookcastError } from "./errors.js";
import { jobPath, request, type Server } from "./http.js";
import type { Link, LinkEvents } from "./link.js";
import { createTokens } from "./tokens.js";
import { LADDER } from "./transports/kinds.js";
import { sleep } from "./transports/polling.js";
import type { Env } from "./transports/transport.js";
import type {
  CallOptions,
  CompletedJob,
  HookcastOptions,
  Job,
  JobFilter,
  JobPage,
  RetryOptions,
  Submission,
  SubmitOptions,
  Submitted,
  Token,
  TokenRequest,
  WaitOptions,
  WatchMineOptions,
  WatchOptions,
} from "./types.js";
import { asJob, parse, rawJson, readJob, topicsOf } from "./wire.js";

/** After this time without a connection, the reason is looked for; `RELOAD_MS` later, code that cannot be loaded is one. */
export const DOUBT_MS = 4_000;
export const RELOAD_MS = 16_000;
/** How long `watchMine` waits before it tries again, such as for a token that names a user. */
export const AGAIN_MS = 10_000;

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
   * Watch every job of the signed-in user, future ones included: those whose owner is the `sub` of the token, or `owner`.
   * It begins with the jobs that changed last. Returns a function that ends the watch.
   */
  watchMine<JobResult = unknown>(options?: WatchMineOptions<JobResult>): () => void;
  /**
   * Iterate over the states of a job until it has ended or the client is closed. A slow consumer skips to the newest
   * state. Throws the abort reason of `signal`; with `failFast`, what `onError` of a watch is told.
   */
  updates<JobResult = unknown>(requestId: string, options?: CallOptions): AsyncGenerator<Job<JobResult>, void>;
  /**
   * Submit a request to fal's queue. Network errors are retried, up to three attempts in all, and so is
   * `idempotency_in_flight`, until the server knows the outcome; the idempotency key makes them one job. Rejects with
   * HookcastError; after `submit_outcome_unknown`, another key submits once more.
   */
  submit<JobResult = unknown>(submission: Submission, options?: SubmitOptions): Promise<Submitted<JobResult>>;
  /**
   * Submit the input of an ended job again, where the server keeps inputs; the new job's `retryOf` names the old one. While
   * a retry is pending, another call without a key resolves with the same job. Rejects with HookcastError, such as
   * `not_terminal` and `input_not_kept`.
   */
  retry<JobResult = unknown>(requestId: string, options?: RetryOptions): Promise<Submitted<JobResult>>;
  /** List jobs, newest first. Rejects with HookcastError. */
  list<JobResult = unknown>(filter?: JobFilter, options?: CallOptions): Promise<JobPage<JobResult>>;
  /**
   * Wait for the outcome of a job; resolves with the completed job. Rejects with HookcastError `job_failed`,
   * `job_cancelled`, `timeout` or `closed`, with the abort reason of `signal` and, with `failFast`, with what `onError` of a
   * watch is told.
   */
  wait<JobResult = unknown>(requestId: string, options?: WaitOptions): Promise<CompletedJob<JobResult>>;
  /** Mint a stream token for a page, on your own server: it takes an API key. Rejects with HookcastError. */
  createToken(wanted: TokenRequest, options?: CallOptions): Promise<Token>;
  /** Get the current state of a job. Rejects with HookcastError, such as `job_not_found`. */
  get<JobResult = unknown>(requestId: string, options?: CallOptions): Promise<Job<JobResult>>;
  /** Ask fal to cancel a job, and return its state. Rejects with HookcastError, such as `already_terminal`. */
  cancel<JobResult = unknown>(requestId: string, options?: CallOptions): Promise<Job<JobResult>>;
  /** End all watches and close the connection permanently. Other calls still work. */
  close(): void;
}

type Call = (...args: unknown[]) => unknown;

/** Create a client. It connects at the first watch; all its watches share one connection. */
export function createHookcast(options: HookcastOptions = {}): Hookcast {
  const { url = "/" } = options;
  const server: Server = {
    url: (path) => new URL(`${url.replace(/\/$/, "")}/api/fal-jobs${path}`, globalThis.location?.href).href,
    fetch: (...args) => (options.fetch ?? fetch)(...args),
    tokens: createTokens(options.getToken),
  };
  const closed = new AbortController();
  const board = createBoard((events) => connect(server, events, options), doubter(server), options.whenHidden);

  /** Return what makes a call of a name; its code is loaded on demand. */
  const onDemand =
    (name: keyof Calls) =>
    async (...args: unknown[]) => {
      const { callsOf } = await import("./calls.js").catch(() => {
        throw new HookcastError("network", "No answer");
      });
      return (callsOf(server, request, board, jobPath, parse, asJob, HookcastError)[name] as Call)(...args) as never;
    };
  return {
    watch: (requestId, handlers: object = {}) => board.add(`requestId:${requestId}`, handlers),
    watchGroup: (name, handlers: object = {}) => board.add(`group:${name}`, handlers),
    watchMine: (handlers = {}) =>
      persist((signal) => onDemand("watchMine")({ ...handlers, signal }), handlers, closed.signal),
    updates: async function* (...args) {
      yield* (await onDemand("updates")(...args)) as AsyncGenerator<never>;
    },
    submit: onDemand("submit"),
    cancel: onDemand("cancel"),
    retry: onDemand("retry"),
    list: onDemand("list"),
    wait: onDemand("wait"),
    createToken: onDemand("createToken"),
    get: onDemand("get"),
    close: () => {
      board.close();
      closed.abort();
    },
  };
}

/** Try to begin a watch until it works or has ended, and tell what fails. Returns the function that ends it. */
function persist(
  begin: (ended: AbortSignal) => Promise<unknown>,
  { signal, onError }: Pick<WatchMineOptions, "signal" | "onError">,
  closed: AbortSignal,
): () => void {
  const over = new AbortController();
  const ended = AbortSignal.any([over.signal, closed, signal ?? closed]);
  const attempt = async () => {
    try {
      if (!ended.aborted) await begin(ended);
    } catch (error) {
      if (ended.aborted) return;
      void sleep(AGAIN_MS, ended).then(attempt);
      onError?.(error as HookcastError);
    }
  };
  void attempt();
  return () => over.abort();
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
          if (!over.signal.aborted)
            timer = setTimeout(tell, RELOAD_MS, new HookcastError("unreachable", "No answer: check `url`."));
        },
      );
    let timer = setTimeout(look, DOUBT_MS);
    return () => {
      over.abort();
      clearTimeout(timer);
    };
  };
}
