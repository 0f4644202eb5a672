/** The button that cancels a job, while that is of use. */

import { isCopying } from "../files";
import type { Actions } from "../hooks/useActions";
import { isActive, type Run } from "../runs";
import { LeavingButton } from "./LeavingButton";

interface CancelButtonProps {
  readonly run: Run;
  readonly actions: Actions;
  /** Called when the focused button disappears. */
  readonly onLeave: () => void;
}

export function CancelButton({ run, actions, onLeave }: CancelButtonProps) {
  const { job } = run.seen;
  if (!isActive(run) || isCopying(job)) return null;
  const cancelling = actions.asking || job?.progress.phase === "cancelling";
  return (
    <LeavingButton onClick={actions.cancel} onLeave={onLeave} off={cancelling} testid="cancel">
      {cancelling ? "Cancelling…" : "Cancel"}
    </LeavingButton>
  );
}
