/** A job's elapsed time and, if fal's webhook brought the outcome, the time from the webhook to the page. */

import { useId } from "react";
import type { Lag } from "../lag";
import { elapsedSeconds, formatSeconds } from "../progress";
import type { Run } from "../runs";
import { lagWords, webhookLag } from "../words";

export function Timing({ run, now }: { readonly run: Run; readonly now: number }) {
  const { job } = run.seen;
  const lag = webhookLag(run.seen);
  if (run.problem !== null) return null;
  const since = { createdAt: new Date(run.startedAt).toISOString(), completedAt: null };
  const expected = job?.status === "pending" ? job.progress.expectedSeconds : null;
  return (
    <dl className="timing">
      <div>
        <dt>Time</dt>
        <dd>
          <span data-testid="elapsed">{formatSeconds(elapsedSeconds(job ?? since, now))}</span>
          {expected !== null && <span className="soft"> of about {formatSeconds(expected)}</span>}
        </dd>
      </div>
      {lag !== null && <LagFact lag={lag} />}
    </dl>
  );
}

function LagFact({ lag }: { readonly lag: Lag }) {
  const [text, meaning] = lagWords(lag);
  const id = useId();
  return (
    <div title={meaning}>
      <dt>webhook → page</dt>
      <dd className="lag" data-testid="lag" aria-describedby={id}>
        {text}
        <span className="unseen" id={id}>
          {meaning}
        </span>
      </dd>
    </div>
  );
}
