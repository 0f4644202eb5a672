/** The progress bar of a job. */

import { percentOf } from "../progress";
import type { Run } from "../runs";
import { runWords } from "../words";

export function Progress({ run, now }: { readonly run: Run; readonly now: number }) {
  const percent = run.seen.job === null ? null : percentOf(run.seen.job, now);
  const share = { "--share": (percent ?? 0) / 100 };
  return (
    <div
      className="bar"
      role="progressbar"
      aria-label={`Progress of job ${run.number}`}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percent === null ? undefined : Math.round(percent)}
      aria-valuetext={percent === null ? runWords(run) : `about ${Math.round(percent)} %`}
      data-testid="progress"
      data-known={percent !== null}
    >
      <div className="bar-fill" style={share as Record<string, number>} />
    </div>
  );
}
