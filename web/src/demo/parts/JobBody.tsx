/** The lower half of a card. Each line is there from the start, so that the card keeps its height. */

import type { RefObject } from "react";
import type { Actions } from "../hooks/useActions";
import type { Run } from "../runs";
import { CancelButton } from "./CancelButton";
import { Facts } from "./Facts";
import { JobHead } from "./JobHead";
import { Logs } from "./Logs";
import { Raw } from "./Raw";
import { Timing } from "./Timing";
import { Troubles } from "./Troubles";

interface JobBodyProps {
  readonly run: Run;
  readonly now: number;
  readonly actions: Actions;
  readonly title: RefObject<HTMLHeadingElement | null>;
  readonly titleId: string;
  /** Called when a focused button disappears. */
  readonly onLeave: () => void;
}

export function JobBody({ run, now, actions, title, titleId, onLeave }: JobBodyProps) {
  const { job } = run.seen;
  return (
    <div className="job-body">
      <JobHead run={run} />
      <h3 className="job-prompt" id={titleId} ref={title} tabIndex={-1}>
        <span className="unseen">Job {run.number}: </span>
        {run.prompt}
      </h3>
      <div className="job-line">
        <Timing run={run} now={now} />
        <CancelButton run={run} actions={actions} onLeave={onLeave} />
      </div>
      <Logs job={job} />
      <Raw run={run} />
      <Troubles job={job} />
      <Facts run={run} />
    </div>
  );
}
