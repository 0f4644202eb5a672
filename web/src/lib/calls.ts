/**
 * The calls that few pages make: submit, list, mint tokens, wait, iterate. Loaded on demand: it imports only types from the
 * core, so that bundlers do not split that.
 */

import type { SubmitOptions } from "./client.js";
import type { HookcastError } from "./errors.js";
import { failureOf } from "./failure.js";
import type { Ask } from "./http.js";
import { countDown } from "./patience.js";
import type {
  CallOptions,
  Job,
  JobFilter,
  JobPage,
  Submission,
  Submitted,
  Token,
  TokenRequest,
  WaitOptions,
  WatchOptions,
} from "./types.js";
import { statesOf } from "./updates.js";
import type { asJob as AsJob, parse as Parse } from "./wire.js";

export const SUBMIT_MS = 60_000;
export const SUBMIT_TRIES = 3;

/** What the calls need of the client. */
export interface Core {
  /** Send a request, and return what `read` makes of the answer. */
  call<Answer>(path: string, ask: Ask & CallOptions, read: (body: string) => Answer | null | false): Promise<Answer>;
  watch(requestId: string, options: WatchOptions): () => void;
  get(requestId: string, options: CallOptions): Promise<Job>;
  /** Dispatch a state to the watches. */
  state(job: Job): void;
  readonly parse: typeof Parse;
  readonly asJob: typeof AsJob;
  readonly HookcastError: typeof HookcastError;
}

export type Calls = ReturnType<typeof callsOf>;

/** Return the calls of a client. */
export function callsOf(core: Core) {
  const { call, watch, state, parse, asJob } = core;
  const post = (body: unknown, ask: Ask & CallOptions): Ask & CallOptions => ({
    ...ask,
    method: "POST",
    headers: { "Content-Type": "application/json", ...ask.headers },
    body: JSON.stringify(body),
  });
  return {
    submit: async (submission: Submission, { idempotencyKey, ...ask }: SubmitOptions = {}) => {
      // `crypto.randomUUID` needs a secure context: it is missing on plain http, except on loopback.
      const key = idempotencyKey ?? crypto.getRandomValues(new Uint32Array(4)).join("-");
      const sent = post(submission, { ...ask, headers: { "Idempotency-Key": key }, timeout: SUBMIT_MS });
      const read = (body: string) => {
        const fields = parse(body);
        return asJob(fields.job) && (fields as unknown as Submitted);
      };
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await call("", sent, read);
        } catch (error) {
          // Safe to retry: the same key is the same job.
          if ((error as HookcastError).code !== "network" || attempt === SUBMIT_TRIES) throw error;
        }
      }
    },
    list: async (filter: JobFilter = {}, ask: CallOptions = {}) => {
      const given = Object.entries(filter).filter(([, value]) => value !== undefined && value !== null);
      const page = await call(`?${new URLSearchParams(given)}`, ask, (body) => {
        const { jobs, nextCursor } = parse(body);
        return Array.isArray(jobs) && ({ jobs, nextCursor } as JobPage);
      });
      for (const job of page.jobs) if (asJob(job)) state(job);
      return page;
    },
    createToken: (wanted: TokenRequest, ask: CallOptions = {}) =>
      call("/../tokens", post(wanted, ask), (body) => {
        const fields = parse(body);
        return "token" in fields && (fields as unknown as Token);
      }),
    wait: (requestId: string, options: WaitOptions = {}) => outcomeOf(core, requestId, options),
    updates: (requestId: string, ask: CallOptions = {}) => statesOf((handlers) => watch(requestId, handlers), ask),
  };
}

/** Watch a job until it has ended. Resolves with the completed job; rejects as `Hookcast.wait` says. */
function outcomeOf({ watch, get, HookcastError }: Core, requestId: string, options: WaitOptions): Promise<Job> {
  const { timeout = Number.POSITIVE_INFINITY, signal, failFast } = options;
  const over = new AbortController();
  return new Promise<Job>((resolve, reject) => {
    const abort = () => reject(signal?.reason);
    const expire = async () => {
      // The answer reaches the watch.
      await get(requestId, { signal: over.signal }).catch(() => {});
      reject(new HookcastError("timeout", `The job had no outcome within ${timeout / 1000} s.`));
    };
    if (signal?.aborted) return abort();
    signal?.addEventListener("abort", abort, { signal: over.signal });
    const pause = countDown({ ms: 0 }, timeout, expire);
    const stop = watch(requestId, {
      onCompleted: resolve,
      onFailed: (job) => reject(failureOf(job, HookcastError)),
      onTransport: (transport) => {
        if (transport === "closed") reject(new HookcastError("closed", "The client was closed."));
      },
      ...(failFast && { onError: reject }),
    });
    over.signal.addEventListener("abort", () => {
      pause();
      stop();
    });
  }).finally(() => over.abort());
}
