/** The words of the package: a job as the server sends it, and what a caller passes in. */

import type { HookcastError } from "./errors.js";

export type JobStatus = "pending" | "completed" | "failed" | "cancelled";
export type Phase = "queued" | "running" | "saving" | "cancelling";
export type JsonObject = { readonly [key: string]: unknown };

export interface LogLine {
  readonly timestamp: string | null;
  readonly message: string;
  readonly level: string | null;
}

export interface Progress {
  readonly phase: Phase;
  readonly queuePosition: number | null;
  /** The last 50 lines. */
  readonly logs: readonly LogLine[];
  readonly startedAt: string | null;
  /** The median duration of the endpoint's recent completions, null while unknown. */
  readonly expectedSeconds: number | null;
}

/** One state of a job. `result` is fal's payload, null until the job has completed; times are RFC 3339 in UTC. */
export interface Job<JobResult = unknown> {
  readonly requestId: string;
  readonly status: JobStatus;
  /** 1, 2, 3 …: a state whose version is not newer is never shown. */
  readonly version: number;
  readonly endpointId: string | null;
  readonly progress: Progress;
  readonly result: JobResult | null;
  /** One readable sentence. */
  readonly error: string | null;
  /** fal's own error body. */
  readonly errorDetail: unknown;
  readonly owner: string | null;
  readonly group: string | null;
  readonly metadata: JsonObject;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly completedAt: string | null;
}

/** A job whose result is there. */
export type CompletedJob<JobResult = unknown> = Job<JobResult> & {
  readonly status: "completed";
  readonly result: JobResult;
};

export type TransportName = "websocket" | "sse" | "long-poll" | "poll";
/** How states arrive right now; `connecting` also between two connections. */
export type Transport = TransportName | "connecting" | "paused" | "closed";

export interface WatchOptions<JobResult = unknown> {
  /** Each newer state, the last one too. */
  readonly onUpdate?: ((job: Job<JobResult>) => void) | undefined;
  /** Once for each job, after its `onUpdate`. */
  readonly onCompleted?: ((job: CompletedJob<JobResult>) => void) | undefined;
  /** Once for each job that failed or was cancelled, after its `onUpdate`. */
  readonly onFailed?: ((job: Job<JobResult>) => void) | undefined;
  /** What stands in the way: `not_visible`, `unauthorized`, `token_failed`. The watch goes on. */
  readonly onError?: ((error: HookcastError) => void) | undefined;
  /** How states arrive, at the start and at each change. */
  readonly onTransport?: ((transport: Transport) => void) | undefined;
  /** Milliseconds between two requests where nothing better than polling works; 3000 by default. */
  readonly pollInterval?: number | undefined;
  /** Ends the watch. */
  readonly signal?: AbortSignal | undefined;
}

export interface Submission {
  readonly endpointId: string;
  readonly input: JsonObject;
  readonly owner?: string;
  readonly group?: string;
  readonly metadata?: JsonObject;
  /** fal's own request headers by name. */
  readonly options?: {
    readonly priority?: "normal" | "low";
    readonly startTimeoutSeconds?: number;
    readonly runnerHint?: string;
    readonly noRetry?: boolean;
    readonly storeIo?: boolean;
    readonly objectLifecycle?: { readonly [kind: string]: number | null };
  };
}

export interface Submitted<JobResult = unknown> {
  readonly requestId: string;
  readonly status: JobStatus;
  readonly job: Job<JobResult>;
  /** Opens this job's states to whoever has it; null on a server without keys. */
  readonly token: string | null;
  readonly expiresAt: string | null;
  readonly links: { readonly status: string; readonly events: string; readonly cancel: string };
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface HookcastOptions {
  /** Where the Hookcast server is: `https://hooks.example.com`, or a path of the page's own origin. `/` by default. */
  readonly url?: string;
  /** A stream token, or an API key on a server of yours; asked again when the token is refused or about to expire. */
  readonly getToken?: () => string | null | Promise<string | null>;
  /** What a hidden page does with its connection; `keep` by default. A page that is left (bfcache) always closes it. */
  readonly whenHidden?: "keep" | "pause";
  /**
   * Whether tabs of one origin share one connection if they ask the same server for the same user with the same
   * options; true by default, but not where `fetch` or `WebSocket` is replaced.
   */
  readonly shareTabs?: boolean;
  /** The ways to try, best first; all four by default. `poll` is always the last resort. */
  readonly transports?: readonly TransportName[];
  /** The server's HEARTBEAT_SECONDS, 15 by default: a stream that is silent for 2.5 of them is given up. */
  readonly heartbeatSeconds?: number;
  /** Replaces the global ones, where there are none. */
  readonly fetch?: typeof fetch;
  readonly WebSocket?: typeof WebSocket;
}
