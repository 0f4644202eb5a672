/** The footer: a curl command for the newest job, and links to the server's endpoints. */

import type { Run } from "../runs";
import { recallKey } from "../session";
import { curlLine } from "../words";
import { CopyButton } from "./CopyButton";

export function Footer({ run }: { readonly run: Run | undefined }) {
  const job = run?.requestId ? `/${encodeURIComponent(run.requestId)}/events` : "";
  const line = curlLine(location.origin, `/api/fal-jobs${job}`, recallKey(sessionStorage) !== null);
  return (
    <footer className="foot">
      <div className="curl">
        <span className="curl-label">The same, without a browser</span>
        <code data-testid="curl">{line}</code>
        <CopyButton className="quiet" text={line} label="Copy the curl line">
          Copy
        </CopyButton>
      </div>
      <nav aria-label="Server">
        <a href="/healthz">/healthz</a>
        <a href="/readyz">/readyz</a>
        <a href="/api/fal-jobs">/api/fal-jobs</a>
        <a href="/openapi.json">/openapi.json</a>
      </nav>
    </footer>
  );
}
