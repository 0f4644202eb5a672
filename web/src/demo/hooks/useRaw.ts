/** The JSON text of a job, every digit as fal wrote it. */

import { useEffect, useState } from "react";
import { type Job, rawJson } from "../../lib/index.js";
import { useHookcast } from "../../lib/react/index.js";

/** Return the text of the state; one that came in a list has none, so the server is asked once it is `wanted`. */
export function useRaw(job: Job, wanted: boolean): string {
  const client = useHookcast();
  const [found, setFound] = useState<Job | null>(null);
  const { requestId } = job;
  const missing = wanted && rawJson(job) === undefined;
  useEffect(() => {
    if (missing) client.get(requestId).then(setFound, () => {});
  }, [client, requestId, missing]);
  return rawJson(job) ?? (found && rawJson(found)) ?? JSON.stringify(job);
}
