/** What goes over the wire, read and checked. */

import { HookcastError } from "./errors.js";
import type { Job } from "./types.js";

/** What is watched: `job:` and a requestId, or `group:` and a name. */
export type Topic = `job:${string}` | `group:${string}`;

/** A message or a request names at most so many. */
export const MAX_NAMES = 200;
export const MAX_RETRY_AFTER_MS = 600_000;
/** The text of a job's state, for whoever needs its digits: JSON.parse rounds integers beyond 2^53. */
const raw = new WeakMap<object, string | undefined>();

export type Fields = Record<string, unknown>;

/** The object in `text`; an empty one when there is none. */
export function parse(text: string): Fields {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}

/** `value`, if it is a list; else an empty one. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** `value` as a job, if it is one; `text` is the JSON it was read from. */
export function asJob(value: unknown, text?: string): Job | null {
  const job = value as Job | null | undefined;
  if (typeof job?.requestId !== "string" || !(job.version > 0)) return null;
  raw.set(job, text);
  return job;
}

/** The job in `text`, if it is one. */
export function readJob(text: string): Job | null {
  return asJob(parse(text), text);
}

/** The JSON a state was read from, every digit as fal wrote it; undefined where the state came in a list. */
export function rawJson(job: Job): string | undefined {
  return raw.get(job);
}

export function isTerminal(job: Job): boolean {
  return job.status !== "pending";
}

export function isOfJob(topic: Topic): boolean {
  return topic.startsWith("job");
}

/** The requestId or the group. */
export function nameOf(topic: Topic): string {
  return topic.slice(topic.indexOf(":") + 1);
}

/** Whoever watches one of these is shown the job. */
export function topicsOf(job: Job): Topic[] {
  return [`job:${job.requestId}`, `group:${job.group ?? ""}`];
}

/** The same topics in parts of at most `MAX_NAMES`. */
export function split(topics: readonly Topic[]): Topic[][] {
  return topics.length > 0 ? [topics.slice(0, MAX_NAMES), ...split(topics.slice(MAX_NAMES))] : [];
}

/** What is in `topics` and not in `others`. */
export function without(topics: readonly Topic[], others: Iterable<Topic>): Topic[] {
  const set = new Set(others);
  return topics.filter((topic) => !set.has(topic));
}

/** The error in an answer, whatever its body is. */
export function problem(status: number, body: string): HookcastError {
  const fields = parse(body);
  const { code = `http_${status}`, detail = code } = fields;
  return new HookcastError(String(code), String(detail), status, fields);
}

/** Retry-After in milliseconds (RFC 9110 section 10.2.3), undefined when there is none; ten minutes at most. */
export function retryAfter(headers: Headers): number | undefined {
  const text = headers.get("retry-after") ?? "";
  const ms = +text * 1000 || Date.parse(text) - Date.now();
  return ms >= 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : undefined;
}
