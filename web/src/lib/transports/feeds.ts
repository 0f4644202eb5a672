/** Polling of a group or an owner. Loaded on demand: it imports only types from the core, so that bundlers do not split that. */

import type { Answer, Ask } from "../http.js";
import type { Job } from "../types.js";
import type { asJob as AsJob, Fields, KindOfTopic } from "../wire.js";

/** Jobs of a request, and of one that reads everything: at first, and at every `SWEEP_EVERY`th poll. */
export const FEW = 20;
export const MANY = 200;
export const MAX_JOBS = 1_000;
export const SWEEP_EVERY = 20;

/** What is known from earlier polls of a feed: their number, and the ETags by the number of jobs. */
export interface Memory {
  polls?: number;
  tags?: Record<number, string>;
}

/** What a poll needs of the core. */
interface Core {
  readonly ask: (path: string, options: Ask) => Promise<Answer>;
  readonly parse: (text: string) => Fields;
  readonly asJob: typeof AsJob;
  readonly version: (requestId: string) => number;
  readonly state: (job: Job | null) => void;
}

/**
 * Poll a feed. The jobs that changed last come first, so it reads up to the first one that is known, and nothing while the
 * ETag stays the same. Nodes whose clocks differ may put a change behind older ones: everything is read every so often.
 */
export async function pollFeed(
  { ask, parse, asJob, version, state }: Core,
  parts: [kind: KindOfTopic, name: string],
  signal: AbortSignal,
  memory: Memory,
): Promise<Answer> {
  const { polls = 0, tags = {} } = memory;
  const limit = polls % SWEEP_EVERY === 0 ? MANY : FEW;
  const query = new URLSearchParams([parts, ["order", "updated"], ["limit", `${limit}`]]);
  const tag = tags[limit];
  const first = await ask(`?${query}`, { signal, headers: tag ? { "If-None-Match": tag } : {} });
  /** Report a job; return whether it is newer than what is known. */
  const take = (value: unknown): boolean => {
    const job = asJob(value);
    const news = job !== null && job.version > version(job.requestId);
    state(job);
    return news;
  };
  let answer = first;
  for (let read = 0; !answer.end; ) {
    const { jobs, nextCursor } = parse(answer.body);
    const news = (Array.isArray(jobs) ? jobs : []).map(take);
    read += news.length;
    if (!nextCursor || read >= MAX_JOBS || (limit === FEW && !news.at(-1))) {
      memory.polls = polls + 1;
      const newest = first.headers?.get("etag");
      memory.tags = { ...tags, ...(newest && { [limit]: newest }) };
      break;
    }
    query.set("cursor", `${nextCursor}`);
    answer = await ask(`?${query}`, { signal });
  }
  return answer;
}
