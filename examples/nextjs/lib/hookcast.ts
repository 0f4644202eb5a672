import "server-only";
import { createHookcast, type Hookcast, HookcastError, type Job } from "hookcast";
import type { Video } from "@/lib/video";

const ASK_MS = 10_000;

/** Return the URL of Hookcast. It is read at runtime, so that one build works in every environment. */
export function hookcastUrl(): string {
  return process.env.HOOKCAST_URL || "http://127.0.0.1:8000";
}

/** Create a client with the API key. The key grants full access: keep it on the server. */
export function hookcast(): Hookcast {
  return createHookcast({ url: hookcastUrl(), getToken: apiKey });
}

/** Return the newest jobs of an owner. Throws HookcastError. */
export async function jobsOf(owner: string, filter: { status?: string; limit: number }): Promise<Job<Video>[]> {
  const query = new URLSearchParams({ owner, limit: String(filter.limit) });
  if (filter.status) query.set("status", filter.status);
  const { jobs } = await ask<{ jobs: Job<Video>[] }>(`/api/fal-jobs?${query}`);
  return jobs;
}

/** Mint a token that can only watch an owner's jobs; null if Hookcast runs without keys. Throws HookcastError. */
export async function streamToken(owner: string): Promise<string | null> {
  const { token } = await ask<{ token: string | null }>("/api/tokens", { sub: owner, expiresIn: 3600 });
  return token;
}

function apiKey(): string | null {
  return process.env.HOOKCAST_API_KEY || null;
}

/** Send a GET, or a POST if there is a body, to an endpoint that the client has no method for. */
async function ask<T>(path: string, body?: object): Promise<T> {
  const key = apiKey();
  const response = await fetch(hookcastUrl().replace(/\/$/, "") + path, {
    method: body ? "POST" : "GET",
    headers: { "Content-Type": "application/json", ...(key && { Authorization: `Bearer ${key}` }) },
    body: body ? JSON.stringify(body) : null,
    cache: "no-store",
    signal: AbortSignal.timeout(ASK_MS),
  }).catch((error: unknown) => {
    throw new HookcastError("network", `No answer: ${error}`);
  });
  const answer = await response.json().catch(() => null); // a proxy's error page, or a truncated response
  if (response.ok && answer) return answer;
  throw new HookcastError(answer?.code ?? "unreadable", answer?.detail ?? "", response.status, answer);
}
