/** The result as JSON, every digit as fal wrote it. */

import { type Job, rawJson } from "../../lib/index.js";
import { pretty, rawMember } from "../rawjson";
import { Code } from "./Code";

export function RawResult({ job }: { readonly job: Job | null }) {
  if (job === null || job.result === null) return null;
  const text = rawMember(rawJson(job) ?? JSON.stringify(job), "result") ?? "null";
  return (
    <details className="raw">
      <summary>Result as JSON</summary>
      <Code testid="result">{pretty(text)}</Code>
    </details>
  );
}
