/** The three calls the page makes. Failures come back as values: a `Problem` is something to read. */

import { isRecord, parseJson, readSnapshot, type Snapshot } from "./job";
import { pretty, rawMember } from "./rawjson";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface Links {
  readonly status: string;
  readonly events: string;
  readonly cancel: string;
}

export interface Submission {
  readonly endpointId: string;
  readonly input: Readonly<Record<string, unknown>>;
}

/** Where a job is and what opens it: all that is needed to follow it. */
export interface Ticket {
  readonly requestId: string;
  readonly links: Links;
  readonly token: string | null;
}

export interface Problem {
  readonly title: string;
  readonly detail: string | null;
  readonly code: string | null;
  /** fal's own answer, pretty-printed. */
  readonly falBody: string | null;
  /** Whether the same request may well succeed a moment later. */
  readonly retryable: boolean;
}

export type Submitted = { readonly ticket: Ticket; readonly snapshot: Snapshot | null } | { readonly problem: Problem };
export type Answer =
  | { readonly kind: "state"; readonly snapshot: Snapshot }
  | { readonly kind: "same" | "gone" | "failed" };

const PATIENCE_MS = 15_000;

const UNREACHABLE: Problem = {
  title: "The server did not answer",
  detail: "Is Hookcast still running? Nothing is lost: trying again sends the same Idempotency-Key.",
  code: null,
  falBody: null,
  retryable: true,
};

/** The problem in an error answer, whatever its body is. */
export function readProblem(status: number, body: string): Problem {
  const value = parseJson(body);
  const fields = isRecord(value) ? value : {};
  const falBody = rawMember(body, "falBody");
  return {
    title: textOr(fields.title) ?? `The server answered ${status}`,
    detail: textOr(fields.detail),
    code: textOr(fields.code),
    falBody: falBody === null || falBody === "null" ? null : pretty(falBody),
    retryable: status >= 500 || status === 429,
  };
}

function textOr(value: unknown): string | null {
  return typeof value === "string" && value.trim() !== "" ? value : null;
}

export async function submit(fetcher: Fetch, submission: Submission, idempotencyKey: string): Promise<Submitted> {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": idempotencyKey };
  const init = { method: "POST", headers, body: JSON.stringify(submission), signal: AbortSignal.timeout(60_000) };
  try {
    const response = await fetcher("/api/fal-jobs", init);
    const body = await response.text();
    return response.ok ? readSubmitted(body) : { problem: readProblem(response.status, body) };
  } catch {
    return { problem: UNREACHABLE };
  }
}

function readSubmitted(body: string): Submitted {
  const value = parseJson(body);
  if (!isRecord(value) || typeof value.requestId !== "string") {
    return { problem: { ...UNREACHABLE, title: "The server's answer could not be read", detail: body.slice(0, 200) } };
  }
  const links = isRecord(value.links) ? value.links : {};
  const fallback = linksOf(value.requestId);
  const ticket: Ticket = {
    requestId: value.requestId,
    token: textOr(value.token),
    links: {
      status: samePath(links.status) ?? fallback.status,
      events: samePath(links.events) ?? fallback.events,
      cancel: samePath(links.cancel) ?? fallback.cancel,
    },
  };
  return { ticket, snapshot: readSnapshot(rawMember(body, "job") ?? "") };
}

/** Where the protocol puts a job. */
export function linksOf(requestId: string): Links {
  const status = `/api/fal-jobs/${encodeURIComponent(requestId)}`;
  return { status, events: `${status}/events`, cancel: `${status}/cancel` };
}

/** A link's path and query: the page stays on its own origin even if the server knows itself by another name. */
function samePath(link: unknown): string | null {
  const base = "http://page.invalid";
  if (typeof link !== "string" || !URL.canParse(link, base)) return null;
  const url = new URL(link, base);
  return url.pathname + url.search;
}

/** The address of the job's stream; an EventSource can send no header, so a token rides in the query. */
export function eventsUrl(ticket: Ticket): string {
  if (ticket.token === null) return ticket.links.events;
  const joint = ticket.links.events.includes("?") ? "&" : "?";
  return `${ticket.links.events}${joint}token=${encodeURIComponent(ticket.token)}`;
}

function authorization(ticket: Ticket): Record<string, string> {
  return ticket.token === null ? {} : { Authorization: `Bearer ${ticket.token}` };
}

/** The job's state, unless it is still at `version`. */
export async function get(fetcher: Fetch, ticket: Ticket, version: number | null): Promise<Answer> {
  const condition: Record<string, string> = version === null ? {} : { "If-None-Match": `"${version}"` };
  const headers = { Accept: "application/json", ...authorization(ticket), ...condition };
  return ask(fetcher, ticket.links.status, { headers, cache: "no-store" });
}

export async function cancel(fetcher: Fetch, ticket: Ticket): Promise<Answer> {
  const answer = await ask(fetcher, ticket.links.cancel, { method: "POST", headers: authorization(ticket) });
  return answer.kind === "gone" ? { kind: "failed" } : answer;
}

async function ask(fetcher: Fetch, url: string, init: RequestInit): Promise<Answer> {
  try {
    const response = await fetcher(url, { ...init, signal: AbortSignal.timeout(PATIENCE_MS) });
    if (response.status === 304 || response.status === 409) return { kind: "same" };
    if (response.status === 404) return { kind: "gone" };
    const snapshot = response.ok ? readSnapshot(await response.text()) : null;
    return snapshot === null ? { kind: "failed" } : { kind: "state", snapshot };
  } catch {
    return { kind: "failed" };
  }
}

/** A random UUID; `crypto.randomUUID` is missing on plain-http origins other than loopback. */
export function newKey(source: Crypto = crypto): string {
  if (typeof source.randomUUID === "function") return source.randomUUID();
  const bytes = source.getRandomValues(new Uint8Array(16));
  const hex = Array.from(bytes, (byte, index) => {
    const fixed = index === 6 ? (byte & 0x0f) | 0x40 : index === 8 ? (byte & 0x3f) | 0x80 : byte;
    return fixed.toString(16).padStart(2, "0");
  }).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
