import { type Job, rawJson } from "../../lib/index.js";
import { pretty, rawMember } from "../rawjson";

/** The result as fal wrote it, every digit of it. */
export function RawResult({ job }: { readonly job: Job | null }) {
  if (job === null || job.result === null) return null;
  const text = rawMember(rawJson(job) ?? JSON.stringify(job), "result") ?? "null";
  return (
    <details className="raw">
      <summary>Result as JSON</summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by key (WCAG 2.1.1) */}
      <pre tabIndex={0} data-testid="result">
        {pretty(text)}
      </pre>
    </details>
  );
}
