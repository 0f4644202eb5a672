/** A button that copies text to the clipboard. */

import type { ReactNode } from "react";
import { useCopy } from "../hooks/useCopy";

interface CopyButtonProps {
  readonly text: string;
  readonly label: string;
  readonly className: string;
  readonly children: ReactNode;
}

export function CopyButton({ text, label, className, children }: CopyButtonProps) {
  const [done, copy] = useCopy(text);
  return (
    <>
      <button type="button" className={className} aria-label={label} title={label} onClick={copy}>
        {done === null ? children : done ? "Copied" : "Press Ctrl+C"}
      </button>
      <span className="unseen" role="status">
        {done && "Copied"}
      </span>
    </>
  );
}
