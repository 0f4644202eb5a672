/** The card of one job: a screen with its progress, later its result, and the details below. */

import { useCallback, useEffect, useId, useRef } from "react";
import type { Clock } from "../clock";
import { useCancel } from "../hooks/useCancel";
import { useNow } from "../hooks/useNow";
import { useWatched } from "../hooks/useWatched";
import { isActive, type Run, type Seen, statusOf } from "../runs";
import { Actions } from "./Actions";
import { Facts } from "./Facts";
import { JobHead } from "./JobHead";
import { Logs } from "./Logs";
import { Notice } from "./Notice";
import { Problem } from "./Problem";
import { Progress } from "./Progress";
import { RawResult } from "./RawResult";
import { Screen } from "./Screen";
import { Timing } from "./Timing";
import { Troubles } from "./Troubles";

interface JobCardProps {
  readonly run: Run;
  readonly clock: Clock;
  readonly onSeen: (id: string, seen: Seen) => void;
  readonly onRetry: () => void;
}

export function JobCard({ run: known, clock, onSeen, onRetry }: JobCardProps) {
  const run: Run = { ...known, seen: useWatched(known, clock, onSeen) };
  const { job, transport } = run.seen;
  const status = statusOf(run);
  const now = useNow(clock, status === "submitting" || isActive(run));
  const cancel = useCancel(run.requestId);
  const card = useRef<HTMLLIElement>(null);
  const title = useRef<HTMLHeadingElement>(null);
  const titleId = useId();
  const focusTitle = useCallback(() => title.current?.focus(), []);
  const fresh = run.submission !== null;
  useEffect(() => {
    if (fresh) card.current?.scrollIntoView({ block: "nearest" });
  }, [fresh]);
  return (
    <li
      className="job"
      ref={card}
      aria-labelledby={titleId}
      data-testid="job"
      data-status={status}
      data-phase={job?.progress.phase}
      data-transport={transport}
      data-request-id={run.requestId ?? ""}
    >
      <Screen run={run} now={now} />
      <Progress run={run} now={now} />
      <div className="job-body">
        <JobHead run={run} />
        <h3 className="job-prompt" id={titleId} ref={title} tabIndex={-1}>
          <span className="unseen">Job {run.number}: </span>
          {run.prompt}
        </h3>
        <div className="job-line">
          <Timing run={run} now={now} />
          <Actions run={run} cancel={cancel} onRetry={onRetry} onLeave={focusTitle} />
        </div>
        <Notice run={run} trouble={cancel.trouble} />
        <Problem run={run} />
        <Troubles job={job} />
        <Logs job={job} />
        <RawResult job={job} />
        <Facts run={run} />
      </div>
    </li>
  );
}
