/** Parse and check what goes over the wire. */

import type { Job } from "./types.js";

/** The kinds of topics, by the names of their query parameters; a WebSocket message has them in the plural. */
export type KindOfTopic = "requestId" | "group" | "owner";
/** A watched topic: its kind and its name, such as `requestId:a`. */
export type Topic = `${KindOfTopic}:${string}`;

/** The maximum number of names in a message or a request. */
export const MAX_NAMES = 200;
export const MAX_RETRY_AFTER_MS = 600_000;
/** The JSON text of each state, which keeps all digits: JSON.parse rounds integers beyond 2^53. */
const raw = new WeakMap<object, string | undefined>();

export type Fields = Record<string, unknown>;

/** Parse `text` as an object; an empty one if it is not JSON. */
export function parse(text: string): Fields {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}

/** Return `value` if it is an array, else an empty one. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Return `value` as a job, null if it is none; `text` is the JSON it was parsed from. */
export function asJob(value: unknown, text?: string): Job | null {
  const job = value as Job | null | undefined;
  if (typeof job?.requestId === "string" && job.version > 0) {
    raw.set(job, text);
    return job;
  }
  return null;
}

/** Parse `text` as a job; null if it is none. */
export function readJob(text: string): Job | null {
  return asJob(parse(text), text);
}

/**
 * Return the JSON text a state was parsed from, every digit as fal wrote it: JSON.parse rounds integers beyond 2^53.
 * Undefined where the state came in a list.
 */
export function rawJson(job: Job): string | undefined {
  return raw.get(job);
}

/** Return whether the job has ended: completed, failed or cancelled. */
export function isTerminal(job: Job): boolean {
  return job.status !== "pending";
}

export function isOfJob(topic: Topic): boolean {
  return topic.startsWith("r");
}

/** Return the kind and the name of a topic. */
export function partsOf(topic: Topic): [kind: KindOfTopic, name: string] {
  return topic.split(/:(.*)/s, 2) as [KindOfTopic, string];
}

/** Return the requestId, group or owner of a topic. */
export function nameOf(topic: Topic): string {
  return partsOf(topic)[1];
}

/** Return the topics whose watches receive the job. */
export function topicsOf(job: Job): Topic[] {
  return [`requestId:${job.requestId}`, `group:${job.group ?? ""}`, `owner:${job.owner ?? ""}`];
}

/** Split topics into parts of at most `MAX_NAMES`. */
export function split(topics: readonly Topic[]): Topic[][] {
  return topics.length > 0 ? [topics.slice(0, MAX_NAMES), ...split(topics.slice(MAX_NAMES))] : [];
}

/** Return the topics that are not in `others`. */
export function without(topics: readonly Topic[], others: Iterable<Topic>): Topic[] {
  const set = new Set(others);
  return topics.filter((topic) => !set.has(topic));
}

/** Return Retry-After in milliseconds (RFC 9110 section 10.2.3), at most ten minutes; undefined if there is none. */
export function retryAfter(headers: Headers): number | undefined {
  const text = headers.get("retry-after") ?? "";
  const ms = +text * 1000 || Date.parse(text) - Date.now();
  return ms >= 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : undefined;
}
