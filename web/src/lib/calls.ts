/**
 * The calls, which few pages make: get, submit, retry, cancel, list, mint tokens, wait, iterate. Loaded on demand: it imports only types
 * from the core, so that bundlers do not split that.
 */

import type { Board } from "./board.js";
import type { HookcastError } from "./errors.js";
import { failureOf } from "./failure.js";
import type { Ask, jobPath as JobPath, request as Request, Server } from "./http.js";
import { countDown, pause } from "./patience.js";
import type {
  CallOptions,
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
} from "./types.js";
import { statesOf } from "./updates.js";
import type { asJob as AsJob, parse as Parse } from "./wire.js";

export const SUBMIT_MS = 60_000;
/** The pause before the first repeat of a submit, with up to half as much again; each later one is longer by as much. */
export const PAUSE_MS = 1_000;
/**
 * How often a submit is repeated, by what went wrong. The server counts a request as in flight for up to 30 s, and the
 * pauses of these repeats are longer together.
 */
const REPEATS = { network: 2, idempotency_in_flight: 8 };

/** What the calls need of the core. */
export interface Core {
  readonly server: Server;
  readonly request: typeof Request;
  readonly board: Board;
  readonly jobPath: typeof JobPath;
  readonly parse: typeof Parse;
  readonly asJob: typeof AsJob;
  readonly HookcastError: typeof HookcastError;
}

export type Calls = ReturnType<typeof callsOf>;

/** Return the calls of a client. It takes its parts one by one: the names of properties would cost the core 25 bytes. */
export function callsOf(
  server: Core["server"],
  request: Core["request"],
  board: Core["board"],
  jobPath: Core["jobPath"],
  parse: Core["parse"],
  asJob: Core["asJob"],
  Failure: Core["HookcastError"],
) {
  const core: Core = { server, request, board, jobPath, parse, asJob, HookcastError: Failure };
  return {
    get: (requestId: string, ask: CallOptions = {}) => readJob(core, jobPath(requestId), ask),
    submit: (submission: Submission, options: SubmitOptions = {}) => submit(core, submission, options),
    retry: (requestId: string, options: RetryOptions = {}) => retry(core, requestId, options),
    cancel: (requestId: string, ask: CallOptions = {}) =>
      readJob(core, `${jobPath(requestId)}/cancel`, { ...ask, method: "POST" }),
    list: (filter: JobFilter = {}, ask: CallOptions = {}) => list(core, filter, ask),
    createToken: (wanted: TokenRequest, ask: CallOptions = {}) => createToken(core, wanted, ask),
    wait: (requestId: string, options: WaitOptions = {}) => outcomeOf(core, requestId, options),
    watchMine: (options: WatchMineOptions) => watchMine(core, options),
    updates: (requestId: string, ask: CallOptions = {}) =>
      statesOf((handlers) => board.add(`requestId:${requestId}`, handlers), ask),
  };
}

/** Send a request, and return what `read` makes of a successful response. Rejects with HookcastError. */
async function call<Answer>(
  { server, request, parse, HookcastError }: Core,
  path: string,
  ask: Ask & CallOptions,
  read: (body: string) => Answer | null | false,
): Promise<Answer> {
  try {
    const { status, body } = await request(server, path, ask);
    if (status >= 400) {
      // An error response may have any body.
      const fields = parse(body);
      const { code = `http_${status}`, detail = code } = fields;
      throw new HookcastError(String(code), detail as string, status, fields);
    }
    const answer = read(body);
    if (!answer) throw new HookcastError("unreadable", "The answer is not Hookcast's: check `url`.");
    return answer;
  } catch (error) {
    if (!ask.failFast) throw error;
    throw await (await import("./diagnosis.js")).explain(server, error as HookcastError, HookcastError);
  }
}

/** Send a request that a job answers, and show the job to those who watch it. */
async function readJob(core: Core, path: string, ask: Ask & CallOptions): Promise<Job> {
  const job = await call(core, path, ask, (body) => core.asJob(core.parse(body), body));
  core.board.state(job);
  return job;
}

/** Send JSON, and return what `read` makes of the answer. */
function post<Answer>(
  core: Core,
  path: string,
  body: string,
  ask: Ask & CallOptions,
  read: (body: string) => Answer | false | null,
): Promise<Answer> {
  const headers = { "Content-Type": "application/json", ...ask.headers };
  return call(core, path, { ...ask, method: "POST", headers, body }, read);
}

async function submit(core: Core, submission: Submission, options: SubmitOptions): Promise<Submitted> {
  const { idempotencyKey, ...ask } = options;
  // `crypto.randomUUID` needs a secure context: it is missing on plain http, except on loopback.
  const key = idempotencyKey ?? crypto.getRandomValues(new Uint32Array(4)).join("-");
  const sent = { ...ask, headers: { "Idempotency-Key": key }, timeout: SUBMIT_MS };
  // A repeat must have the same body, and the caller may change the input meanwhile.
  const body = JSON.stringify(submission);
  const left: Record<string, number> = { ...REPEATS };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await post(core, "", body, sent, submittedIn(core));
    } catch (error) {
      // Safe to repeat: the same key is the same job.
      const { code } = error as HookcastError;
      const repeats = left[code];
      if (!repeats) throw error;
      left[code] = repeats - 1;
    }
    await pause(attempt * PAUSE_MS * (1 + Math.random() / 2), ask.signal);
  }
}

/** Without a key of the caller, the server makes one job of requests that come together. */
function retry(core: Core, requestId: string, options: RetryOptions): Promise<Submitted> {
  const { idempotencyKey, again, ...ask } = options;
  const headers = {
    ...(idempotencyKey && { "Idempotency-Key": idempotencyKey }),
    ...(again && { "Idempotency-Retry": "yes" }),
  };
  const sent = { ...ask, method: "POST", headers, timeout: SUBMIT_MS };
  return call(core, `${core.jobPath(requestId)}/retry`, sent, submittedIn(core));
}

/** Return what reads the answer to a submit. */
function submittedIn({ parse, asJob }: Core) {
  return (body: string) => {
    const fields = parse(body);
    return asJob(fields.job) && (fields as unknown as Submitted);
  };
}

async function list(core: Core, { mine, ...filter }: JobFilter, ask: CallOptions): Promise<JobPage> {
  const { parse, asJob, board } = core;
  const wanted = mine ? { owner: await ownerOf(core), ...filter } : filter;
  const given = Object.entries(wanted).filter(([, value]) => value !== undefined && value !== null);
  const page = await call(core, `?${new URLSearchParams(given as [string, string][])}`, ask, (body) => {
    const { jobs, nextCursor } = parse(body);
    return Array.isArray(jobs) && ({ jobs, nextCursor } as JobPage);
  });
  for (const job of page.jobs) if (asJob(job)) board.state(job);
  return page;
}

function createToken(core: Core, wanted: TokenRequest, ask: CallOptions): Promise<Token> {
  return post(core, "/../tokens", JSON.stringify(wanted), ask, (body) => {
    const fields = core.parse(body);
    return "token" in fields && (fields as unknown as Token);
  });
}

/** Watch the jobs of an owner. Rejects if the owner is not known. */
async function watchMine(core: Core, { owner, ...handlers }: WatchMineOptions): Promise<void> {
  core.board.add(`owner:${owner ?? (await ownerOf(core))}`, handlers);
}

/** Return the user of the token. Rejects with HookcastError `owner_unknown` if it names none. */
async function ownerOf({ server, HookcastError }: Core): Promise<string> {
  const [token, { claimsOf }] = await Promise.all([server.tokens.get(), import("./tabs/index.js")]);
  const { sub } = claimsOf(`${token}`) ?? {};
  if (typeof sub === "string") return sub;
  throw new HookcastError("owner_unknown", "The token names no user: pass `owner`.");
}

/** Watch a job until it has ended. Resolves with the completed job; rejects as `Hookcast.wait` says. */
function outcomeOf(core: Core, requestId: string, options: WaitOptions): Promise<Job> {
  const { board, jobPath, HookcastError } = core;
  const { timeout = Number.POSITIVE_INFINITY, signal, failFast } = options;
  const over = new AbortController();
  return new Promise<Job>((resolve, reject) => {
    const abort = () => reject(signal?.reason);
    const expire = async () => {
      // The answer reaches the watch.
      await readJob(core, jobPath(requestId), { signal: over.signal }).catch(() => {});
      reject(new HookcastError("timeout", `The job had no outcome within ${timeout / 1000} s.`));
    };
    if (signal?.aborted) return abort();
    signal?.addEventListener("abort", abort, { signal: over.signal });
    const pause = countDown({ ms: 0 }, timeout, expire);
    const stop = board.add(`requestId:${requestId}`, {
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
