import { type Run, UNSEEN } from "../../src/demo/runs";
import type { Job, MediaFile } from "../../src/lib/index.js";

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

export const SOURCE = "https://fal.media/files/a.mp4";
export const COPY = "https://cdn.example/r1/0-0123456789abcdef.mp4";

/** A file that is being copied. */
export function file(changes: Partial<MediaFile> = {}): MediaFile {
  const unknown = { url: null, contentType: null, size: null, sha256: null, error: null };
  return { ...unknown, source: SOURCE, bytes: 0, status: "copying", ...changes };
}

/** A file that is kept. */
export function kept(changes: Partial<MediaFile> = {}): MediaFile {
  return file({ url: COPY, contentType: "video/mp4", bytes: 100, size: 100, status: "kept", ...changes });
}

/** A job whose files are being copied. */
export function copying(...media: readonly MediaFile[]): Job {
  return job({ media, progress: { ...job().progress, phase: "saving" } });
}

/** A job whose files were copied. */
export function completed(...media: readonly MediaFile[]): Job {
  return job({ media, status: "completed", result: {}, progress: { ...job().progress, phase: "ended" } });
}
