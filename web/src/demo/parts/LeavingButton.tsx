/** A button that may disappear: if it had the focus, `onLeave` moves it, so that it is not reset to the page. */

import { type ReactNode, useCallback } from "react";

interface LeavingButtonProps {
  readonly children: ReactNode;
  readonly onClick: () => void;
  readonly onLeave: () => void;
  /** Inactive but visible; unlike a disabled button it keeps the focus. */
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
