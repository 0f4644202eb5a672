/** A job's phase, queue position and transport. */

import type { Run } from "../runs";
import { positionWords, runWords, transportWords } from "../words";

export function JobHead({ run }: { readonly run: Run }) {
  const { job } = run.seen;
  const position = job === null ? null : positionWords(job);
  const transport = transportWords(run);
  return (
    <div className="job-head">
      <p className="status">
        <span className="phase" data-testid="phase">
          {runWords(run)}
        </span>{" "}
        {position && (
          <span className="position" data-testid="position">
            {position}
          </span>
        )}
      </p>
      {transport && (
        <p className="transport" data-testid="transport">
          <span className="unseen">over </span>
          {transport}
        </p>
      )}
    </div>
  );
}
