import { type Run, UNSEEN } from "../../src/demo/runs";
import type { Job } from "../../src/lib/index.js";

export function job(changes: Partial<Job> = {}): Job {
  return {
    requestId: "r1",
    status: "pending",
    version: 1,
    endpointId: "fal-ai/flux/dev",
    progress: { phase: "queued", queuePosition: 2, logs: [], startedAt: null, expectedSeconds: null },
    result: null,
    error: null,
    errorDetail: null,
    endedBy: null,
    owner: null,
    group: null,
    metadata: {},
    createdAt: "2026-11-23T10:00:00.000Z",
    updatedAt: "2026-11-23T10:00:00.000Z",
    completedAt: null,
    ...changes,
  };
}

export function run(changes: Partial<Run> = {}): Run {
  const known = { id: "k1", number: 1, prompt: "a lighthouse", startedAt: 0, requestId: "r1", problem: null };
  return { ...known, submission: { endpointId: "fal-ai/flux/dev", input: {} }, seen: UNSEEN, ...changes };
}
