/** What the page does, as curl commands; pure. */

import type { Run } from "./runs";
import { MODELS, OWNER } from "./submission";

export interface Curl {
  readonly name: "Submit" | "Watch" | "Poll";
  readonly line: string;
}

/** Return the commands for a run, or for a job to come; with `$KEY` for the key that the server wants. */
export function curlsOf(run: Run | undefined, origin: string, withKey: boolean): readonly Curl[] {
  const key = withKey ? ` -H "Authorization: Bearer $KEY"` : "";
  const jobs = `${origin}/api/fal-jobs`;
  const job = `${jobs}/${run?.requestId ? encodeURIComponent(run.requestId) : "REQUEST_ID"}`;
  const endpointId = run?.seen.job?.endpointId ?? run?.submission?.endpointId ?? MODELS[0].endpointId;
  const body = JSON.stringify({ endpointId, input: { prompt: run?.prompt ?? "a lighthouse" }, owner: OWNER });
  return [
    { name: "Submit", line: `curl${key} -H "Content-Type: application/json" -d ${quoted(body)} ${jobs}` },
    { name: "Watch", line: `curl -N${key} ${quoted(`${job}/events`)}` },
    { name: "Poll", line: `curl${key} ${quoted(job)}` },
  ];
}

/** Quote for a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
