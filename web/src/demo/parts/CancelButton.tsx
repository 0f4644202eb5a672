/** The button that cancels a job, while that is of use. */

import { isCopying } from "../files";
import type { Cancel } from "../hooks/useCancel";
import { isActive, type Run } from "../runs";
import { LeavingButton } from "./LeavingButton";

interface CancelButtonProps {
  readonly run: Run;
  readonly cancel: Cancel;
  /** Called when the focused button disappears. */
  readonly onLeave: () => void;
}

export function CancelButton({ run, cancel, onLeave }: CancelButtonProps) {
  const { job } = run.seen;
  if (!isActive(run) || isCopying(job)) return null;
  const cancelling = cancel.asking || job?.progress.phase === "cancelling";
  return (
    <LeavingButton onClick={cancel.cancel} onLeave={onLeave} off={cancelling} testid="cancel">
      {cancelling ? "Cancelling…" : "Cancel"}
    </LeavingButton>
  );
}
