/**
 * What stands between the watches of a page and the server: topics go down, states come up. `Connection` is the one
 * that speaks to the server; another one may share it between pages.
 */

import type { HookcastError } from "./errors.js";
import type { TellPage } from "./page.js";
import type { Job, Transport } from "./types.js";
import type { Topic } from "./wire.js";

export interface Link {
  /** Bring the states of exactly these from now on, the present ones first. */
  want(topics: readonly Topic[]): void;
  /** The page sleeps, or is back. */
  page: TellPage;
  /** For good. Idempotent. */
  close(): void;
}

/** What a link tells. States may come twice and in any order. */
export interface LinkEvents {
  state(job: Job): void;
  transport(transport: Transport): void;
  /** What stands in the way of all watches, or of those of `topics`. */
  error(error: HookcastError, topics?: readonly Topic[]): void;
  /** The newest known version of a job, 0 for none. */
  version(requestId: string): number;
  /** Milliseconds between two requests. */
  interval(topic: Topic): number;
  /** Whether nobody looks. */
  hidden(): boolean;
}

export type OpenLink = (events: LinkEvents) => Promise<Link>;
