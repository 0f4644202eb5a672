/** A notice on a job: a request about it that failed, or interrupted live updates while it is active. */

import { useSettled } from "../hooks/useSettled";
import { isActive, type Run } from "../runs";
import { noticeWords } from "../words";

export function Notice({ run, trouble }: { readonly run: Run; readonly trouble: string | null }) {
  const { transport } = run.seen;
  const settled = useSettled(transport) === transport;
  const text = [trouble, settled && isActive(run) ? noticeWords(transport) : null]
    .filter((words) => words !== null)
    .join(" ");
  return (
    text !== "" && (
      <p className="notice" data-testid="notice">
        {text}
      </p>
    )
  );
}
