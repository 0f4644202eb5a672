/** Cancel and retry jobs of the signed-in user. */

import type { Hookcast, Job, Submitted } from "../index.js";
import { type ServerOptions, serverClient } from "./client.js";
import { Refused } from "./problems.js";

/** Cancel a job of `owner`. Throws Refused, for the job of another one too, and HookcastError. */
export async function cancelFor(options: ServerOptions, owner: string, requestId: unknown): Promise<Job> {
  const client = serverClient(options);
  return client.cancel(await ownOf(client, owner, requestId));
}

/** Submit the input of a job of `owner` again. Throws Refused, for the job of another one too, and HookcastError. */
export async function retryFor(options: ServerOptions, owner: string, requestId: unknown): Promise<Submitted> {
  const client = serverClient(options);
  return client.retry(await ownOf(client, owner, requestId));
}

async function ownOf(client: Hookcast, owner: string, requestId: unknown): Promise<string> {
  const job = typeof requestId === "string" && requestId ? await client.get(requestId) : null;
  if (job?.owner !== owner) throw new Refused(404, "job_not_found", "It is not there any more.");
  return job.requestId;
}
