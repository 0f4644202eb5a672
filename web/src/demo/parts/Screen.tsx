/** The upper half of a card: the place in the queue, the elapsed time, then the result. */

import type { Job } from "../../lib/index.js";
import { tilesOf } from "../files";
import { elapsedSeconds, formatSeconds } from "../progress";
import { type Run, statusOf } from "../runs";
import { placeWords } from "../words";
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
  const { phase } = job.progress;
  const clock = formatSeconds(elapsedSeconds(job, now));
  return placeWords(job) ?? [clock, phase === "saving" ? "saving the result" : phase];
}

function still(run: Run): readonly [string, string] {
  if (statusOf(run) === "completed") return ["{ }", "a result without media"];
  return ["···", run.requestId === null ? "on its way to the server" : "asking the server"];
}
