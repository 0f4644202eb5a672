/** What can be done about a job. */

import type { Cancel } from "../hooks/useCancel";
import { isActive, type Run } from "../runs";
import { LeavingButton } from "./LeavingButton";

interface ActionsProps {
  readonly run: Run;
  readonly cancel: Cancel;
  readonly onRetry: () => void;
  /** A button that had the focus is gone. */
  readonly onLeave: () => void;
}

export function Actions({ run, cancel, onRetry, onLeave }: ActionsProps) {
  const cancelling = cancel.asking || run.seen.job?.progress.phase === "cancelling";
  return (
    <p className="actions">
      {run.problem?.retryable && (
        <LeavingButton onClick={onRetry} onLeave={onLeave} testid="retry">
          Try again
        </LeavingButton>
      )}
      {isActive(run) && (
        <LeavingButton onClick={cancel.cancel} onLeave={onLeave} off={cancelling} testid="cancel">
          {cancelling ? "Cancelling…" : "Cancel"}
        </LeavingButton>
      )}
    </p>
  );
}
