import "server-only";
import { createHookcast, type Hookcast, HookcastError, type Job } from "hookcast";
import type { Video } from "@/lib/video";

const ASK_MS = 10_000;

/** Where Hookcast is. Read when it is needed, not at build time: one build serves every environment. */
export function hookcastUrl(): string {
  return process.env.HOOKCAST_URL || "http://127.0.0.1:8000";
}

/** The client with the API key: it may do everything, so it stays on this server. */
export function hookcast(): Hookcast {
  return createHookcast({ url: hookcastUrl(), getToken: apiKey });
}

/** The newest jobs of an owner. Raises HookcastError. */
export async function jobsOf(owner: string, filter: { status?: string; limit: number }): Promise<Job<Video>[]> {
  const query = new URLSearchParams({ owner, limit: String(filter.limit) });
  if (filter.status) query.set("status", filter.status);
  const { jobs } = await ask<{ jobs: Job<Video>[] }>(`/api/fal-jobs?${query}`);
  return jobs;
}

/** A token that shows an owner's jobs, and does nothing else; null where Hookcast has no keys. Raises HookcastError. */
export async function streamToken(owner: string): Promise<string | null> {
  const { token } = await ask<{ token: string | null }>("/api/tokens", { sub: owner, expiresIn: 3600 });
  return token;
}

function apiKey(): string | null {
  return process.env.HOOKCAST_API_KEY || null;
}

/** GET, or POST with a body; for the part of Hookcast's interface that its client leaves to plain requests. */
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
  const answer = await response.json().catch(() => null); // a proxy's page, or an answer that broke off
  if (response.ok && answer) return answer;
  throw new HookcastError(answer?.code ?? "unreadable", answer?.detail ?? "", response.status, answer);
}
