/** The last log line, which expands to all kept lines. */

import type { Job } from "../../lib/index.js";
import { Code } from "./Code";

export function Logs({ job }: { readonly job: Job | null }) {
  const lines = job?.progress.logs ?? [];
  const last = lines.at(-1);
  if (last === undefined) return <p className="logs log" data-testid="log" />;
  return (
    <details className="logs">
      <summary>
        <span className="log" data-testid="log">
          {last.message}
        </span>
        <span className="unseen"> (logs)</span>
      </summary>
      <Code testid="logs">{lines.map(({ timestamp, message }) => `${timeOf(timestamp)}${message}`).join("\n")}</Code>
    </details>
  );
}

function timeOf(timestamp: string | null): string {
  return timestamp === null ? "" : `${timestamp.slice(11, 19)}  `;
}
