/** A button that goes away with its purpose; whoever was on it is led on, and not thrown back to the top of the page. */

import { type ReactNode, useCallback } from "react";

interface LeavingButtonProps {
  readonly children: ReactNode;
  readonly onClick: () => void;
  readonly onLeave: () => void;
  /** Shown, and of no use now. It keeps the focus, as a disabled one would not. */
  readonly off?: boolean;
  readonly testid: string;
}

export function LeavingButton({ children, onClick, onLeave, off = false, testid }: LeavingButtonProps) {
  const leave = useCallback(
    (button: HTMLButtonElement | null) => () => {
      if (document.activeElement === button) onLeave();
    },
    [onLeave],
  );
  return (
    <button
      type="button"
      className="quiet"
      ref={leave}
      aria-disabled={off}
      onClick={off ? undefined : onClick}
      data-testid={testid}
    >
      {children}
    </button>
  );
}
