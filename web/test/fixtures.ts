import type { Job, Snapshot } from "../src/job";

export function job(changes: Partial<Job> = {}): Job {
  return {
    requestId: "r1",
    status: "pending",
    version: 1,
    endpointId: "fal-ai/flux/dev",
    progress: { phase: "queued", queuePosition: 2, logs: [], startedAt: null, expectedSeconds: null },
    result: null,
    error: null,
    createdAt: "2026-11-23T10:00:00.000Z",
    completedAt: null,
    ...changes,
  };
}

export function snapshot(changes: Partial<Job> = {}): Snapshot {
  const value = job(changes);
  return { job: value, raw: JSON.stringify(value) };
}
