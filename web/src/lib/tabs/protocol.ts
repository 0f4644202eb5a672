/** What tabs tell one another. A change that an older tab would not understand changes `VERSION`. */

import type { HookcastError } from "../errors.js";
import type { Job, Transport } from "../types.js";
import type { Topic } from "../wire.js";

/** It stands in the names of locks and channels. */
export const VERSION = 1;

/** From a tab to the one that leads: all that it wants. Sent anew at each change, and to hear whether anybody leads. */
export interface Want {
  readonly type: "want";
  readonly tab: string;
  /** Topics, and the milliseconds between two requests for each. */
  readonly wishes: readonly (readonly [topic: Topic, interval: number])[];
  readonly hidden: boolean;
  /** Somebody looks at the tab again: do not wait any longer. */
  readonly wake: boolean;
}

/** From a tab that leads from now on to all others, which answer with what they want. */
export interface Lead {
  readonly type: "lead";
}

/** From the tab that leads to one that wants something. */
export type Told =
  | { readonly type: "here"; readonly transport: Transport; readonly hidden: boolean }
  | { readonly type: "state"; readonly job: Job }
  | { readonly type: "error"; readonly error: HookcastError; readonly topics: readonly Topic[] | undefined };

/** The same for a channel: a state as its text, if there is one, and an error as its parts. */
export type Sent =
  | Extract<Told, { type: "here" }>
  | { readonly type: "state"; readonly state: string | Job }
  | {
      readonly type: "error";
      readonly parts: readonly [code: string, message: string, status: number, detail: unknown];
      readonly topics: readonly Topic[] | undefined;
    };

/** What turns one into the other; the core lends it. */
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

/** Undefined when the state cannot be read. */
export function decode(sent: Sent, { readJob, HookcastError }: Codec): Told | undefined {
  if (sent.type === "here") return sent;
  if (sent.type === "error") return { ...sent, error: new HookcastError(...sent.parts) };
  const job = typeof sent.state === "string" ? readJob(sent.state) : sent.state;
  return job ? { type: "state", job } : undefined;
}
