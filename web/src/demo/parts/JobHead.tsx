/** A job's phase, queue position and transport. */

import { isActive, isOpen, type Run } from "../runs";
import { positionWords, runWords, TRANSPORTS } from "../words";

export function JobHead({ run }: { readonly run: Run }) {
  const { job, transport } = run.seen;
  const position = job === null ? null : positionWords(job);
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
      {(isActive(run) || isOpen(transport)) && (
        <p className="transport" data-testid="transport">
          <span className="unseen">over </span>
          {TRANSPORTS[transport]}
        </p>
      )}
    </div>
  );
}
