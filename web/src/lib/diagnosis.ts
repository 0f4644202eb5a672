/**
 * Find out why a page has no connection, in one sentence with the setting to change. Loaded on demand, once a page has
 * been without a connection for `DOUBT_MS`: it imports only types from the core, so that bundlers do not split that.
 *
 * Browsers hide why a request to another origin failed (WHATWG Fetch section 3.3). Hookcast lets pages of all origins
 * read `/healthz`: if a page can read it but not the API, its origin is not allowed.
 */

import type { HookcastError } from "./errors.js";
import type { Server } from "./http.js";

/** The deadline of each request. */
export const LOOK_MS = 5_000;
/** What may pass by itself, such as a restart of the server, is reported once it has lasted this long. */
export const PATIENCE_MS = 8_500;
/** The same for a page that was connected before. */
export const RECONNECT_MS = 20_000;
/** The pause before it is examined again; it doubles. */
export const AGAIN_MS = 10_000;
export const MAX_AGAIN_MS = 60_000;
/** When the core calls `diagnose`, after this time without a connection. */
const DOUBT_MS = 4_000;
/** A timer that is later than this was stopped: the machine was asleep, or the page was frozen. */
const OVERSLEPT_MS = 5_000;

/** What a page can learn. `answer`: the API's, undefined if the page may not read it. */
export interface Facts {
  /** The server's address, without the path of the API, and the page's origin. */
  readonly url: string;
  readonly origin: string;
  /** Whether there is a `getToken`, and whether it gave a token. */
  readonly asked: boolean;
  readonly token: boolean;
  readonly answer?: Answered | undefined;
  /** No answer before the deadline. */
  readonly late?: boolean;
  /** The page's Content-Security-Policy forbade the request. */
  readonly blocked?: boolean;
  /** The answer of `/healthz`: Hookcast's, another one, one that the page may not read, or none. */
  readonly health?: "hookcast" | "foreign" | "opaque" | "none";
}

export interface Answered {
  readonly status: number;
  /** The code and detail of a problem document. */
  readonly code?: string | undefined;
  readonly detail?: string;
  /** Whether Hookcast sent it. */
  readonly ours: boolean;
}

/** `sure`: it does not pass by itself. */
export type Verdict = readonly [code: string, message: string, sure: boolean, status?: number];

/** Map the facts to a verdict, null if nothing is wrong. Pure; SPEC.md has the table. */
export function judge(facts: Facts): Verdict | null {
  const { url, origin, answer, late, blocked, health } = facts;
  if (answer) return judgeAnswer(facts, answer);
  if (late)
    return ["unreachable", `${url} did not answer in time. Check \`url\`, and that the server is running.`, false];
  if (/^https:/.test(origin) && /^http:/.test(url) && !LOOPBACK.test(url)) {
    return ["mixed_content", `An https page cannot use ${url}: set \`url\` to an https address.`, true];
  }
  if (blocked) {
    const sentence = `The page's Content-Security-Policy forbids ${url}: add it to connect-src, also with wss:.`;
    return ["blocked_by_csp", sentence, true];
  }
  if (health === "hookcast") {
    return ["origin_not_allowed", `${url} refuses pages of ${origin}: add it to HOOKCAST_ALLOWED_ORIGINS.`, true];
  }
  if (health === "none") {
    const sentence = `No server answers at ${url}. Check \`url\`, its certificate, and that the server is running.`;
    return ["unreachable", sentence, false];
  }
  return foreign(url, "with something that this page may not read");
}

const LOOPBACK = /^http:..(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:|\/|$)/;
const WANTED: Record<string, string> = {
  token_expired: "make `getToken` return a new token at each call.",
  token_invalid: "make `getToken` return a token of this server's POST /api/tokens, or of its identity provider.",
  origin_not_allowed: "set HOOKCAST_PUBLIC_URL to the address that pages use, or HOOKCAST_ALLOWED_ORIGINS.",
};

function judgeAnswer({ url, asked, token }: Facts, { status, code, detail = "", ours }: Answered): Verdict | null {
  if (status >= 500 && !ours) {
    return ["unavailable", `A proxy at ${url} answers ${status}: check that Hookcast runs behind it.`, false, status];
  }
  // The list of jobs is never unknown: the path is wrong.
  if (!ours || status === 404) return foreign(url, `with ${status}`, status);
  if (!code || (status < 429 && status !== 401 && code !== "origin_not_allowed")) return null;
  const missing = asked ? "`getToken` gave none; make it return one." : "pass `getToken`, which returns one.";
  if (status === 401 && !token) return ["unauthorized", `${url} requires a token: ${missing}`, true, status];
  const wanted = WANTED[code] ?? (status === 401 ? WANTED.token_invalid : "");
  return [code, `${detail.replace(/\.?$/, wanted ? ": " : ".")}${wanted}`, status < 429, status];
}

function foreign(url: string, how: string, status = 0): Verdict {
  const sentence = `${url} answers ${how}, not as Hookcast does. Check \`url\` and its path, and let a proxy, firewall or login in front pass /api/fal-jobs.`;
  return ["not_hookcast", sentence, false, status];
}

/** Collect the facts, and judge them. */
export async function examine(server: Server): Promise<Verdict | null> {
  const { tokens } = server;
  const url = addressOf(server);
  if (!url) {
    return ["unreachable", "`url` is no address: set it to the server's, such as https://hooks.example.com.", true];
  }
  const facts = { url, origin: globalThis.location?.origin ?? "", asked: tokens.renewable };
  let token: string | null;
  try {
    token = await inTime(tokens.get());
  } catch (error) {
    const reason = (error as HookcastError).code ? (error as Error).message : "getToken: no answer";
    return ["token_failed", `${reason.replace(/\.$/, "")}. Make \`getToken\` return a token or null.`, true];
  }
  if (token && !/^[!-~]+\s*$/.test(token)) {
    return [
      "token_invalid",
      "`getToken` returned no token, but maybe a page: make it return the token's text or null.",
      true,
    ];
  }
  const known = { ...facts, token: !!token };
  const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};
  const first = await look(server, "?limit=1", { headers });
  if (first.answer || first.late) return judge({ ...known, ...first });
  const health = await healthOf(server);
  // The server may have come up in between.
  return judge({ ...known, ...(await look(server, "?limit=1", { headers })), blocked: first.blocked ?? false, health });
}

/** Return the server's address; an empty one if `url` is none, such as a path outside a page. */
function addressOf(server: Server): string {
  try {
    return new URL("../..", server.url("/")).href.replace(/\/$/, "");
  } catch {
    return "";
  }
}

type Look = Pick<Facts, "answer" | "late" | "blocked">;

/** Send a request, and return what the page may know of its answer. */
async function look(server: Server, path: string, init: RequestInit): Promise<Look> {
  const signal = AbortSignal.timeout(LOOK_MS);
  const controller = new AbortController();
  let blocked = false;
  const forbid = () => {
    blocked = true;
  };
  globalThis.document?.addEventListener?.("securitypolicyviolation", forbid, { signal: controller.signal });
  try {
    const response = await server.fetch(server.url(path), { ...init, signal, cache: "no-store" });
    return { answer: read(response.status, await response.text()) };
  } catch {
    // The event follows the failure.
    if (globalThis.document) await new Promise((resolve) => setTimeout(resolve, 20));
    return { late: signal.aborted, blocked };
  } finally {
    controller.abort();
  }
}

function read(status: number, text: string): Answered {
  try {
    const { code, detail, jobs, nextCursor, status: said } = JSON.parse(text);
    // Others have a `code` or a list of jobs, too, but no problem document, nor a page of them.
    const ours = said === status ? typeof code === "string" : Array.isArray(jobs) && nextCursor !== undefined;
    return { status, code, detail: detail ?? code, ours };
  } catch {
    return { status, ours: false };
  }
}

/** Ask `/healthz`: first to read the answer, then only whether there is one. */
async function healthOf(server: Server): Promise<NonNullable<Facts["health"]>> {
  const url = new URL("../../healthz", server.url("/")).href;
  const ask = (init: RequestInit) =>
    server.fetch(url, { ...init, signal: AbortSignal.timeout(LOOK_MS), cache: "no-store" });
  try {
    const { now, status } = await (await ask({})).json();
    return now && status ? "hookcast" : "foreign";
  } catch (error) {
    if (error instanceof SyntaxError) return "foreign";
  }
  return ask({ mode: "no-cors" }).then(
    () => "opaque",
    () => "none",
  );
}

/** Await `work` until the deadline. */
async function inTime<T>(work: Promise<T>): Promise<T> {
  const late = new Promise<never>((_, reject) => {
    AbortSignal.timeout(LOOK_MS).onabort = reject;
  });
  return Promise.race([work, late]);
}

/** Return why a request failed; its own error if that is the server's, or the reason cannot be found. */
export async function explain(
  server: Server,
  error: HookcastError,
  Failure: typeof HookcastError,
): Promise<HookcastError> {
  if (!(error instanceof Failure)) return error;
  if (!/^(network|unreadable|http_.*|unauthorized|token_.*)$/.test(error.code)) return error;
  const [code, message, , status] = (await examine(server)) ?? [];
  return code && message ? new Failure(code, message, status, error.detail) : error;
}

/**
 * Examine until `signal` aborts, and tell each new verdict. Called `DOUBT_MS` after the page lost its connection, or
 * began without one; `met`: it had one.
 */
export async function diagnose(
  server: Server,
  signal: AbortSignal,
  met: boolean,
  tell: (error: HookcastError) => void,
  Failure: typeof HookcastError,
): Promise<void> {
  const patience = met ? RECONNECT_MS : PATIENCE_MS;
  let told = "";
  let again = 0;
  let began = Date.now() - DOUBT_MS;
  const report = ([code, message]: Verdict, status?: number) => {
    if (message === told) return;
    told = message;
    tell(new Failure(code, message, status));
    warn(code, message);
  };
  while (!signal.aborted) {
    const verdict = away(server) ? null : await examine(server);
    if (signal.aborted) return;
    if (away(server)) began = Date.now();
    const lasted = Date.now() - began;
    if (verdict && (verdict[2] || lasted >= patience)) report(verdict, verdict[3]);
    const pause = Math.max(patience - lasted, again);
    again = Math.min(again * 2 || AGAIN_MS, MAX_AGAIN_MS);
    if ((await sleep(pause, signal)) > pause + OVERSLEPT_MS) began = Date.now();
  }
}

/** Whether the page is hidden or offline: nothing is known of such a time. A machine reaches itself without a network. */
function away(server: Server): boolean {
  const offline = globalThis.navigator?.onLine === false && !LOOPBACK.test(addressOf(server));
  return !!globalThis.document?.hidden || offline;
}

/** Wait; return early if the signal aborts. Returns the milliseconds that passed. */
async function sleep(ms: number, signal: AbortSignal): Promise<number> {
  const began = Date.now();
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => resolve(clearTimeout(timer)), { once: true });
  });
  return Date.now() - began;
}

const warned = new Set<string>();
/** Bundlers replace `process.env.NODE_ENV`, and only if it is written like this. */
declare const process: { readonly env: { readonly NODE_ENV?: string } };

/** Warn in development: a build for development or, without a build, a page of this machine. */
function warn(code: string, message: string): void {
  if (warned.has(message) || !inDevelopment()) return;
  warned.add(message);
  // biome-ignore lint/suspicious/noConsole: developers look for it there
  console.warn(`hookcast: ${message} (${code})`);
}

function inDevelopment(): boolean {
  try {
    return process.env.NODE_ENV === "development";
  } catch {
    return LOOPBACK.test(globalThis.location?.origin ?? "");
  }
}
