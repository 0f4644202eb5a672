/** The list of jobs, newest first. */

import type { Clock } from "../clock";
import type { Run, Seen } from "../runs";
import { JobCard } from "./JobCard";

interface FeedProps {
  readonly runs: readonly Run[];
  readonly clock: Clock;
  readonly onSeen: (id: string, seen: Seen) => void;
  readonly onRetry: (run: Run) => void;
}

export function Feed({ runs, clock, onSeen, onRetry }: FeedProps) {
  return (
    <section className="feed" aria-labelledby="feed-title">
      <h2 id="feed-title">Jobs {runs.length > 0 && <span className="count">{runs.length}</span>}</h2>
      {runs.length === 0 ? (
        <Empty />
      ) : (
        <ol className="jobs">
          {runs.map((run) => (
            <JobCard key={run.id} run={run} clock={clock} onSeen={onSeen} onRetry={() => onRetry(run)} />
          ))}
        </ol>
      )}
    </section>
  );
}

function Empty() {
  return (
    <div className="empty">
      <p>
        <b>No jobs yet.</b>
      </p>
      <p>
        Each one appears here at once: its place in the queue, its logs, then the result. All of them share one
        connection.
      </p>
    </div>
  );
}
