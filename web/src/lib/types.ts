/** The public types: a job as the server sends it, and what callers pass in. */

import type { HookcastError } from "./errors.js";

/** `pending` until the job has ended; the others are terminal. */
export type JobStatus = "pending" | "completed" | "failed" | "cancelled";
/** What a job is doing; `saving`: fal is done and the result is on its way. A terminal job has `ended`. */
export type Phase = "queued" | "running" | "saving" | "cancelling" | "ended";
/** How the end of a job became known; `asked`: fal was asked, since no webhook brought it. */
export type EndedBy = "webhook" | "asked" | "timeout" | "cancelled";
export type JsonObject = { readonly [key: string]: unknown };

/** A log line of the model, as fal reports it. */
export interface LogLine {
  readonly timestamp: string | null;
  readonly message: string;
  readonly level: string | null;
}

/** The progress of a job, as fal reports it. */
export interface Progress {
  readonly phase: Phase;
  /** The position in fal's queue, null while unknown. */
  readonly queuePosition: number | null;
  /** The last 50 lines. */
  readonly logs: readonly LogLine[];
  readonly startedAt: string | null;
  /** The median duration of the endpoint's recent completions, null while unknown. */
  readonly expectedSeconds: number | null;
}

/** A file of the result and its copy in the operator's storage; `left`: it stays where it was, `error` says why. */
export interface MediaFile {
  /** fal's link. */
  readonly source: string;
  /** The copy's link, null until it is kept. */
  readonly url: string | null;
  readonly contentType: string | null;
  /** The bytes copied so far. */
  readonly bytes: number;
  /** The bytes in total, null while unknown. */
  readonly size: number | null;
  readonly sha256: string | null;
  readonly status: "waiting" | "copying" | "kept" | "left";
  readonly error: string | null;
}

/** A job at one version. Times are RFC 3339 in UTC. */
export interface Job<JobResult = unknown> {
  readonly requestId: string;
  readonly status: JobStatus;
  /** 1, 2, 3 …; a watch drops states whose version is not newer than the last. */
  readonly version: number;
  /** fal's endpoint id, null while unknown. */
  readonly endpointId: string | null;
  readonly progress: Progress;
  /** fal's payload, null until the job has completed. */
  readonly result: JobResult | null;
  /** Why the job failed, in one readable sentence; null otherwise. */
  readonly error: string | null;
  /** fal's own error body. */
  readonly errorDetail: unknown;
  /** Null while the job is pending, and where it is not known. */
  readonly endedBy: EndedBy | null;
  /** The files of the result, empty unless the server keeps them. Absent on older servers. */
  readonly media?: readonly MediaFile[];
  /** `owner`, `group` and `metadata` are as submitted. */
  readonly owner: string | null;
  readonly group: string | null;
  readonly metadata: JsonObject;
  /** The job that this one retries, null for all others. Absent on older servers. */
  readonly retryOf?: string | null;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly completedAt: string | null;
}

/** A completed job: its result is present. */
export type CompletedJob<JobResult = unknown> = Job<JobResult> & {
  readonly status: "completed";
  readonly result: JobResult;
};

/** The transports, best first. */
export type TransportName = "websocket" | "sse" | "long-poll" | "poll";
/** How states arrive right now. `connecting`: also between two connections; `paused`: while the page is suspended. */
export type Transport = TransportName | "connecting" | "paused" | "closed";

/** Options of `watch` and `watchGroup`. */
export interface WatchOptions<JobResult = unknown> {
  /** Called with each newer state, including the last one. */
  readonly onUpdate?: ((job: Job<JobResult>) => void) | undefined;
  /** Called once per job that has completed, after its `onUpdate`. */
  readonly onCompleted?: ((job: CompletedJob<JobResult>) => void) | undefined;
  /** Called once per job that has failed or was cancelled, after its `onUpdate`. */
  readonly onFailed?: ((job: Job<JobResult>) => void) | undefined;
  /**
   * Called with what blocks the states, within 10 s: `origin_not_allowed`, `unreachable`, `unauthorized` … The watch
   * continues; `onTransport` tells that it is connected again.
   */
  readonly onError?: ((error: HookcastError) => void) | undefined;
  /** Called with how states arrive, at the start and at each change. */
  readonly onTransport?: ((transport: Transport) => void) | undefined;
  /** Milliseconds between polls where no better transport works; 3000 by default. */
  readonly pollInterval?: number | undefined;
  /** Aborting it ends the watch. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of `watchMine`. */
export interface WatchMineOptions<JobResult = unknown> extends WatchOptions<JobResult> {
  /** Whose jobs; by default the user of the token, its `sub`. */
  readonly owner?: string | null | undefined;
}

/** A request for fal's queue. */
export interface Submission {
  /** fal's endpoint id, such as `fal-ai/flux/dev`. */
  readonly endpointId: string;
  /** The input of the model. */
  readonly input: JsonObject;
  readonly owner?: string;
  readonly group?: string;
  readonly metadata?: JsonObject;
  /** fal's request headers, by name. */
  readonly options?: {
    readonly priority?: "normal" | "low";
    readonly startTimeoutSeconds?: number;
    readonly runnerHint?: string;
    readonly noRetry?: boolean;
    readonly storeIo?: boolean;
    readonly objectLifecycle?: { readonly [kind: string]: number | null };
  };
}

/** The answer to `submit`. */
export interface Submitted<JobResult = unknown> {
  readonly requestId: string;
  readonly status: JobStatus;
  readonly job: Job<JobResult>;
  /** A stream token for this job, until `expiresAt`; whoever holds it can watch. Null on a server without API keys. */
  readonly token: string | null;
  readonly expiresAt: string | null;
  /** The paths of this job on the server. */
  readonly links: { readonly status: string; readonly events: string; readonly cancel: string };
}

/** Which jobs `list` returns. */
export interface JobFilter {
  /** Whether to list only the jobs of the user of the token, its `sub`. */
  readonly mine?: boolean | undefined;
  readonly owner?: string | undefined;
  readonly group?: string | undefined;
  readonly status?: JobStatus | undefined;
  /** The maximum number of jobs, 1 to 200; 50 by default. */
  readonly limit?: number | undefined;
  /** Where to continue: the `nextCursor` of the page before. */
  readonly cursor?: string | null | undefined;
}

/** A page of jobs, newest first. */
export interface JobPage<JobResult = unknown> {
  readonly jobs: readonly Job<JobResult>[];
  /** The cursor of the next page, null on the last one. */
  readonly nextCursor: string | null;
}

/** What a new stream token shows: all jobs of an owner (`sub`), and these jobs and groups. */
export interface TokenRequest {
  readonly sub?: string | undefined;
  readonly jobs?: readonly string[] | undefined;
  readonly groups?: readonly string[] | undefined;
  /** Its lifetime in seconds; 3600 by default. */
  readonly expiresIn?: number | undefined;
}

/** A stream token. Both are null on a server without API keys, which shows all jobs to everybody. */
export interface Token {
  readonly token: string | null;
  readonly expiresAt: string | null;
}

/** Options of a single call. */
export interface CallOptions {
  /** Aborting it ends the call. */
  readonly signal?: AbortSignal | undefined;
  /** Whether to reject with what blocks the call, such as `origin_not_allowed`, instead of trying again. */
  readonly failFast?: boolean | undefined;
}

/** Options of `wait`. */
export interface WaitOptions extends CallOptions {
  /**
   * Milliseconds to wait; then the server is asked once more. No limit by default. Time during which the machine sleeps
   * does not count.
   */
  readonly timeout?: number | undefined;
}

/** Options of `createHookcast`. */
export interface HookcastOptions {
  /** The server's URL: `https://hooks.example.com`, or a path on the page's own origin. `/` by default. */
  readonly url?: string;
  /**
   * Returns the credential: a stream token or, on your own server, an API key; null for none. Called again when the
   * token is refused or about to expire.
   */
  readonly getToken?: () => string | null | Promise<string | null>;
  /** What a hidden page does with its connection; `keep` by default. A page in the bfcache never keeps it. */
  readonly whenHidden?: "keep" | "pause";
  /**
   * Whether tabs of one origin share a connection, if server, user and options are the same. True by default, false
   * where `fetch` or `WebSocket` is replaced.
   */
  readonly shareTabs?: boolean;
  /** The permitted transports; all four by default. `poll` is always the last resort. */
  readonly transports?: readonly TransportName[];
  /** The server's HOOKCAST_HEARTBEAT_SECONDS, 15 by default. A stream silent for 2.5 heartbeats is closed. */
  readonly heartbeatSeconds?: number;
  /** Replaces the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** Replaces the global `WebSocket`, or provides one where there is none. */
  readonly WebSocket?: typeof WebSocket;
}

/** Options of `submit`. */
export interface SubmitOptions extends CallOptions {
  /** Idempotency key: submissions with the same key create one job. Random by default. */
  readonly idempotencyKey?: string;
}

/** Options of `retry`. */
export interface RetryOptions extends CallOptions {
  /** Idempotency key: retries with the same key create one job. By default, one retry is pending at a time. */
  readonly idempotencyKey?: string;
  /** Whether to submit once more after `submit_outcome_unknown`. */
  readonly again?: boolean;
}
