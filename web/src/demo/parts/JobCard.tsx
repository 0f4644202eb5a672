/** The card of one job: a screen with its progress, later its result, and the details below. */

import { type RefObject, useCallback, useEffect, useId, useRef } from "react";
import type { Clock } from "../clock";
import { useActions } from "../hooks/useActions";
import { useNow } from "../hooks/useNow";
import type { Runs } from "../hooks/useRuns";
import { useWatched } from "../hooks/useWatched";
import { isWithoutResult } from "../reason";
import { isActive, type Run, statusOf } from "../runs";
import { again } from "../submission";
import { JobBody } from "./JobBody";
import { Notice } from "./Notice";
import { Progress } from "./Progress";
import { Reason } from "./Reason";
import { Screen } from "./Screen";

interface JobCardProps {
  readonly run: Run;
  readonly list: Runs;
  readonly clock: Clock;
}

export function JobCard({ run: known, list, clock }: JobCardProps) {
  const run: Run = { ...known, seen: useWatched(known, clock, list.seen) };
  const now = useNow(clock, statusOf(run) === "submitting" || isActive(run));
  const actions = useActions(run.requestId);
  const card = useRef<HTMLLIElement>(null);
  const title = useRef<HTMLHeadingElement>(null);
  const titleId = useId();
  const focusTitle = useCallback(() => title.current?.focus(), []);
  useScrolledTo(card, run.submission !== null);
  const { job } = run.seen;
  const wish = job === null ? null : again(job);
  const ways = { onRetry: () => list.retry(run), onAgain: () => (wish === null ? actions.retry() : list.start(wish)) };
  return (
    <li className="job" ref={card} aria-labelledby={titleId} data-testid="job" {...factsOf(run)}>
      <div className="top">
        {isWithoutResult(run) ? <Reason run={run} onLeave={focusTitle} {...ways} /> : <Screen run={run} now={now} />}
        <Notice run={run} trouble={actions.trouble} />
      </div>
      <Progress run={run} now={now} />
      <JobBody run={run} now={now} actions={actions} title={title} titleId={titleId} onLeave={focusTitle} />
    </li>
  );
}

/** Scroll to a card when it appears, if it is of a job that this tab submits. */
function useScrolledTo(card: RefObject<HTMLElement | null>, own: boolean): void {
  useEffect(() => {
    if (own) card.current?.scrollIntoView({ block: "nearest" });
  }, [card, own]);
}

function factsOf(run: Run) {
  return {
    "data-status": statusOf(run),
    "data-phase": run.seen.job?.progress.phase,
    "data-transport": run.seen.transport,
    "data-request-id": run.requestId ?? "",
  };
}
