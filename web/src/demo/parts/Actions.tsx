/** The buttons of a job: retry and cancel. */

import { isCopying } from "../files";
import type { Cancel } from "../hooks/useCancel";
import { isActive, type Run } from "../runs";
import { LeavingButton } from "./LeavingButton";

interface ActionsProps {
  readonly run: Run;
  readonly cancel: Cancel;
  readonly onRetry: () => void;
  /** Called when a focused button disappears. */
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
      {isActive(run) && !isCopying(run.seen.job) && (
        <LeavingButton onClick={cancel.cancel} onLeave={onLeave} off={cancelling} testid="cancel">
          {cancelling ? "Cancelling…" : "Cancel"}
        </LeavingButton>
      )}
    </p>
  );
}
