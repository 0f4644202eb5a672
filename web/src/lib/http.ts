/** HTTP requests with a bearer token and a deadline that includes the body. */

import { HookcastError } from "./errors.js";
import type { End } from "./state.js";
import type { Tokens } from "./tokens.js";
import { retryAfter } from "./wire.js";

/** The Hookcast server: its URLs, `fetch` and tokens. */
export interface Server {
  /** Return the absolute URL of a path below `/api/fal-jobs`. */
  readonly url: (path: string) => string;
  readonly fetch: typeof fetch;
  readonly tokens: Tokens;
}

export interface Ask {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  /** The deadline in milliseconds. */
  readonly timeout?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers?: Headers;
  readonly end: End | undefined;
}

/** The default deadline of a request. */
export const ASK_MS = 15_000;

/** Map a 401, 429 or 5xx to an end; undefined for other responses, which answer the request. */
export function endOf({ status, headers }: Response): End | undefined {
  if (status === 401) return { why: "unauthorized" };
  return status >= 500 || status === 429 ? { why: "failed", after: retryAfter(headers) } : undefined;
}

/** What only Hookcast's API answers: a job, a list or a problem other than `not_found`; no login, no other JSON. */
const OURS = /"(requestId".*version|nextCursor|status":\d.*code":"[^n])/;

/** Map an exception to an end: `unauthorized` if there is no token to try with, else `failed`. */
export function endBy(error: unknown): End {
  return { why: (error as HookcastError).code === "token_failed" ? "unauthorized" : "failed" };
}

/** Return the path of a job. */
export function jobPath(requestId: string): string {
  return `/${encodeURIComponent(requestId)}`;
}

/** Return the Authorization header of a token; no header for null. */
export function authorization(token: string | null): Record<string, string> {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/**
 * Send a request and return the response, whatever its status; on 401, renew the token and retry once. Rejects with
 * HookcastError `network` (no response, or not before the deadline) or `token_failed`, or the reason of `ask.signal`.
 */
export async function request(server: Server, path: string, ask: Ask, refused?: string | null): Promise<Answer> {
  const { timeout = ASK_MS, signal: given, ...init } = ask;
  const { tokens } = server;
  const token = await tokens.get(refused);
  const late = AbortSignal.timeout(timeout);
  const signal = given ? AbortSignal.any([given, late]) : late;
  const sent = { ...init.headers, ...authorization(token) };
  let answer: Answer;
  try {
    const response = await server.fetch(server.url(path), { ...init, headers: sent, signal, cache: "no-store" });
    const { status, headers } = response;
    const body = await response.text();
    const strange = status !== 304 && !OURS.test(body);
    answer = { status, body, headers, end: endOf(response) ?? (strange ? { why: "failed" } : undefined) };
  } catch (error) {
    given?.throwIfAborted();
    throw new HookcastError("network", `No answer: ${error}`);
  }
  const again = answer.status === 401 && tokens.renewable && refused === undefined;
  return again ? request(server, path, ask, token) : answer;
}
