/** In place of the screen, if a job has no result: why, and what to do about it. */

import { reasonOf } from "../reason";
import type { Run } from "../runs";
import { isAlert } from "../words";
import { LeavingButton } from "./LeavingButton";

interface ReasonProps {
  readonly run: Run;
  readonly onRetry: () => void;
  readonly onAgain: () => void;
  /** Called when a focused button disappears. */
  readonly onLeave: () => void;
}

export function Reason({ run, onRetry, onAgain, onLeave }: ReasonProps) {
  const { sentence, advice, way } = reasonOf(run);
  return (
    <div className="screen reason" data-testid="reason">
      {sentence !== null && (
        <p className="error" role={isAlert(run) ? "alert" : undefined} data-testid="error">
          {sentence}
        </p>
      )}
      <p className="advice">{advice}</p>
      {way === "retry" && (
        <LeavingButton onClick={onRetry} onLeave={onLeave} testid="retry">
          Try again
        </LeavingButton>
      )}
      {way === "again" && (
        <LeavingButton onClick={onAgain} onLeave={onLeave} testid="again">
          Generate again
        </LeavingButton>
      )}
    </div>
  );
}
