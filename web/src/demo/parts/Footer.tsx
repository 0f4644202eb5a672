/** The footer: curl commands for the newest job, and links to the server's endpoints. */

import { curlsOf } from "../curl";
import type { Run } from "../runs";
import { recallKey } from "../session";
import { CopyButton } from "./CopyButton";

export function Footer({ run }: { readonly run: Run | undefined }) {
  return (
    <footer className="foot">
      <section aria-labelledby="curls-title">
        <h2 id="curls-title">The same, without a browser</h2>
        <dl className="curls">
          {curlsOf(run, location.origin, recallKey() !== null).map(({ name, line }) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>
                <code data-testid={`curl-${name.toLowerCase()}`}>{line}</code>
                <CopyButton className="quiet" text={line} label={`Copy: ${name}`}>
                  Copy
                </CopyButton>
              </dd>
            </div>
          ))}
        </dl>
      </section>
      <nav aria-label="Server">
        <a href="/healthz">/healthz</a>
        <a href="/readyz">/readyz</a>
        <a href="/api/fal-jobs">/api/fal-jobs</a>
        <a href="/openapi.json">/openapi.json</a>
      </nav>
    </footer>
  );
}
