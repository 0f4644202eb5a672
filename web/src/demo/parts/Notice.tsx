/** A notice on an active job: a failed cancel request, or interrupted live updates. */

import { useSettled } from "../hooks/useSettled";
import { isActive, type Run } from "../runs";
import { noticeWords } from "../words";

export function Notice({ run, trouble }: { readonly run: Run; readonly trouble: string | null }) {
  const { transport } = run.seen;
  const settled = useSettled(transport) === transport;
  if (!isActive(run)) return null;
  const text = [trouble, settled ? noticeWords(transport) : null].filter((words) => words !== null).join(" ");
  return (
    text !== "" && (
      <p className="notice" data-testid="notice">
        {text}
      </p>
    )
  );
}
