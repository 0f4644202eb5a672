/** The messages between tabs. Bump `VERSION` with every change that older tabs would not understand. */

import type { HookcastError } from "../errors.js";
import type { Job, Transport } from "../types.js";
import type { Topic } from "../wire.js";

/** Part of the names of locks and channels. */
export const VERSION = 2;

/** From a tab to the leader: everything it wants. Sent at each change, and to check that there is a leader. */
export interface Want {
  readonly type: "want";
  readonly tab: string;
  /** Topics and their poll intervals in milliseconds. */
  readonly wishes: readonly (readonly [topic: Topic, interval: number])[];
  readonly hidden: boolean;
  /** The tab is visible or online again: reconnect without waiting. */
  readonly wake: boolean;
}

/** From a new leader to all other tabs, which answer with `want`. */
export interface Leads {
  readonly type: "lead";
}

/** From the leader to one tab. */
export type Told =
  | { readonly type: "here"; readonly transport: Transport; readonly hidden: boolean }
  | { readonly type: "state"; readonly job: Job }
  | { readonly type: "error"; readonly error: HookcastError; readonly topics: readonly Topic[] | undefined };

/** `Told` as sent over a channel: a state as its JSON text if that is known, an error as its parts. */
export type Sent =
  | Extract<Told, { type: "here" }>
  | { readonly type: "state"; readonly state: string | Job }
  | {
      readonly type: "error";
      readonly parts: readonly [code: string, message: string, status: number, detail: unknown];
      readonly topics: readonly Topic[] | undefined;
    };

/** The core's functions for converting between the two. */
export interface Codec {
  readonly readJob: (text: string) => Job | null;
  readonly rawJson: (job: Job) => string | undefined;
  readonly HookcastError: typeof HookcastError;
}

export function encode(told: Told, { rawJson }: Codec): Sent {
  if (told.type === "here") return told;
  if (told.type === "state") return { type: "state", state: rawJson(told.job) ?? told.job };
  const { code, message, status, detail } = told.error;
  return { type: "error", parts: [code, message, status, detail], topics: told.topics };
}

/** Undo `encode`; undefined if the state cannot be parsed. */
export function decode(sent: Sent, { readJob, HookcastError }: Codec): Told | undefined {
  if (sent.type === "here") return sent;
  if (sent.type === "error") return { ...sent, error: new HookcastError(...sent.parts) };
  const job = typeof sent.state === "string" ? readJob(sent.state) : sent.state;
  return job ? { type: "state", job } : undefined;
}
