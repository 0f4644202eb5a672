/** A notice on a job: a request about it that failed, or interrupted live updates while it is active. */

import { useSettled } from "../hooks/useSettled";
import { isActive, type Run } from "../runs";
import { noticeWords } from "../words";

export function Notice({ run, trouble }: { readonly run: Run; readonly trouble: string | null }) {
  const { transport } = run.seen;
  const settled = useSettled(transport) === transport;
  const connection = settled && isActive(run) ? noticeWords(transport) : null;
  return (
    (trouble !== null || connection !== null) && (
      <div className="notice" data-testid="notice">
        {trouble !== null && <p role="alert">{trouble}</p>}
        {/* Not in the alert: it comes and goes, and would have the trouble read out again. */}
        {connection !== null && <p>{connection}</p>}
      </div>
    )
  );
}
