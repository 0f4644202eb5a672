/** The last line of the logs; all that are kept, when it is opened. */

import type { Job } from "../../lib/index.js";

export function Logs({ job }: { readonly job: Job | null }) {
  const lines = job?.progress.logs ?? [];
  const last = lines.at(-1);
  if (last === undefined) return <p className="log none" data-testid="log" />;
  return (
    <details className="logs">
      <summary>
        <span className="log" data-testid="log">
          {last.message}
        </span>
        <span className="unseen"> (logs)</span>
      </summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by key (WCAG 2.1.1) */}
      <pre tabIndex={0} data-testid="logs">
        {lines.map(({ timestamp, message }) => `${timeOf(timestamp)}${message}`).join("\n")}
      </pre>
    </details>
  );
}

function timeOf(timestamp: string | null): string {
  return timestamp === null ? "" : `${timestamp.slice(11, 19)}  `;
}
