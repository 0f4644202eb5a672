/** Cancel jobs of the signed-in user. */

import type { Job } from "../index.js";
import { type ServerOptions, serverClient } from "./client.js";
import { Refused } from "./problems.js";

/** Cancel a job of `owner`. Throws Refused, for the job of another one too, and HookcastError. */
export async function cancelFor(options: ServerOptions, owner: string, requestId: unknown): Promise<Job> {
  const client = serverClient(options);
  const job = typeof requestId === "string" && requestId ? await client.get(requestId) : null;
  if (job?.owner !== owner) throw new Refused(404, "job_not_found", "It is not there any more.");
  return client.cancel(job.requestId);
}
