/** The upper half of a card: queue position, elapsed time, then the result. */

import type { Job } from "../../lib/index.js";
import { tilesOf } from "../files";
import { elapsedSeconds, formatSeconds } from "../progress";
import { type Run, statusOf } from "../runs";
import { Gallery } from "./Gallery";

export function Screen({ run, now }: { readonly run: Run; readonly now: number }) {
  const { job } = run.seen;
  const tiles = tilesOf(job, location.href);
  if (tiles.length > 0) return <Gallery tiles={tiles} title={run.prompt} />;
  const [big, small] = job?.status === "pending" ? waiting(job, now) : still(run);
  // Hidden from assistive technology: the text below says the same.
  return (
    <div className="screen" aria-hidden="true">
      <span className="big">{big}</span>
      <span className="small">{small}</span>
    </div>
  );
}

function waiting(job: Job, now: number): readonly [string, string] {
  const { phase, queuePosition } = job.progress;
  if (phase === "queued" && queuePosition !== null) return [String(queuePosition), "ahead in the queue"];
  const clock = formatSeconds(elapsedSeconds(job, now));
  return [clock, phase === "saving" ? "saving the result" : phase];
}

function still(run: Run): readonly [string, string] {
  const words = {
    submitting: ["···", "on its way to the server"],
    rejected: ["!", "not submitted"],
    connecting: ["···", "asking the server"],
    pending: ["···", ""],
    completed: ["{ }", "a result without media"],
    failed: ["✕", "failed"],
    cancelled: ["–", "cancelled"],
  } as const;
  return words[statusOf(run)];
}
