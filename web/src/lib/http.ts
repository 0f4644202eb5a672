/** Requests with the token in the header and a deadline, body included. */

import { HookcastError } from "./errors.js";
import type { End } from "./state.js";
import type { Tokens } from "./tokens.js";
import { retryAfter } from "./wire.js";

/** Where the server is, and what speaks to it. */
export interface Server {
  /** The absolute address of a path below `/api/fal-jobs`. */
  readonly url: (path: string) => string;
  readonly fetch: typeof fetch;
  readonly tokens: Tokens;
}

export interface Ask {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  /** Milliseconds. */
  readonly timeout?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly end: End | undefined;
}

/** How long an answer may take. */
export const ASK_MS = 15_000;

/** What an answer asks for that says neither yes nor no; undefined when it does. */
export function endOf({ status, headers }: Response): End | undefined {
  if (status === 401) return { why: "unauthorized" };
  return status >= 500 || status === 429 ? { why: "failed", after: retryAfter(headers) } : undefined;
}

/** What it asks for when there was no answer: without a token nothing is tried. */
export function endBy(error: unknown): End {
  return { why: (error as HookcastError).code === "token_failed" ? "unauthorized" : "failed" };
}

/** The path of a job. */
export function jobPath(requestId: string): string {
  return `/${encodeURIComponent(requestId)}`;
}

/** The headers that open the door. */
export function authorization(token: string | null): Record<string, string> {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/**
 * One answer, whatever its status; a token that is refused is renewed once. Raises HookcastError `network` (there was
 * no answer, or none in time) and `token_failed`, and the reason of `ask.signal`.
 */
export async function request(server: Server, path: string, ask: Ask = {}, refused?: string | null): Promise<Answer> {
  const { timeout = ASK_MS, signal: given, ...init } = ask;
  const { tokens } = server;
  const token = await tokens.get(refused);
  const late = AbortSignal.timeout(timeout);
  const signal = given ? AbortSignal.any([given, late]) : late;
  const headers = { ...init.headers, ...authorization(token) };
  let answer: Answer;
  try {
    const response = await server.fetch(server.url(path), { ...init, headers, signal, cache: "no-store" });
    answer = { status: response.status, body: await response.text(), end: endOf(response) };
  } catch (error) {
    given?.throwIfAborted();
    throw new HookcastError("network", `No answer: ${error}`);
  }
  const again = answer.status === 401 && tokens.renewable && refused === undefined;
  return again ? request(server, path, ask, token) : answer;
}
