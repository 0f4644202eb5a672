/** A job as the server sends it. Docs: docs/protocol.md. */

export type JobStatus = "pending" | "completed" | "failed" | "cancelled";
export type Phase = "queued" | "running" | "saving" | "cancelling";

export interface LogLine {
  readonly message: string;
}

export interface Progress {
  readonly phase: Phase;
  readonly queuePosition: number | null;
  readonly logs: readonly LogLine[];
  readonly startedAt: string | null;
  readonly expectedSeconds: number | null;
}

export interface Job {
  readonly requestId: string;
  readonly status: JobStatus;
  readonly version: number;
  readonly endpointId: string | null;
  readonly progress: Progress;
  readonly result: unknown;
  readonly error: string | null;
  readonly createdAt: string;
  readonly completedAt: string | null;
}

/** One state of a job, with the text it was read from. */
export interface Snapshot {
  readonly job: Job;
  readonly raw: string;
}

export function isTerminal(job: Job): boolean {
  return job.status !== "pending";
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const STATUSES: readonly string[] = ["pending", "completed", "failed", "cancelled"];

/** The state in `raw`; null when the text is not one. */
export function readSnapshot(raw: string): Snapshot | null {
  const value = parseJson(raw);
  return isJob(value) ? { job: value, raw } : null;
}

function isJob(value: unknown): value is Job {
  return (
    isRecord(value) &&
    typeof value.requestId === "string" &&
    typeof value.version === "number" &&
    STATUSES.includes(String(value.status)) &&
    isRecord(value.progress) &&
    Array.isArray(value.progress.logs)
  );
}
