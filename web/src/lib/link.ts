/**
 * The interface between the watches of a page and the server: topics go down, states come up. `connection.ts` talks to
 * the server; `tabs/` shares such a connection between tabs.
 */

import type { HookcastError } from "./errors.js";
import type { TellPage } from "./page.js";
import type { Job, Transport } from "./types.js";
import type { Topic } from "./wire.js";

export interface Link {
  /** Deliver the states of exactly these topics from now on, the current ones first. */
  want(topics: readonly Topic[]): void;
  /** React to the page being suspended or resumed. */
  page: TellPage;
  /** Close permanently. Idempotent. */
  close(): void;
}

/** What a link reports to and asks of its owner. States may be duplicated and out of order. */
export interface LinkEvents {
  state(job: Job): void;
  transport(transport: Transport): void;
  /** Report what blocks all watches, or those of `topics`. */
  error(error: HookcastError, topics?: readonly Topic[]): void;
  /** Return the newest known version of a job, 0 for none. */
  version(requestId: string): number;
  /** Return the poll interval of a topic in milliseconds. */
  interval(topic: Topic): number;
  /** Return whether the page, or every tab that shares the connection, is hidden. */
  hidden(): boolean;
}

export type OpenLink = (events: LinkEvents) => Promise<Link>;
