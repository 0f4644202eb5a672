/** The live list of jobs, newest first. */

import type { Clock } from "../clock";
import type { Runs } from "../hooks/useRuns";
import { JobCard } from "./JobCard";

export function Feed({ list, clock }: { readonly list: Runs; readonly clock: Clock }) {
  const { runs, broken, hasMore, loadMore } = list;
  return (
    <section className="feed" aria-labelledby="feed-title">
      <h2 id="feed-title">Jobs {runs.length > 0 && <span className="count">{runs.length}</span>}</h2>
      {broken && <p className="notice">The server does not answer. The list goes on as soon as it does.</p>}
      {runs.length === 0 ? (
        <Empty />
      ) : (
        <ol className="jobs">
          {runs.map((run) => (
            <JobCard key={run.id} run={run} list={list} clock={clock} />
          ))}
        </ol>
      )}
      {hasMore && (
        <button type="button" className="quiet more" onClick={loadMore} data-testid="more">
          Older jobs
        </button>
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
        Each one appears here at once, in every tab: its place in the queue, its logs, then the result. All of them
        share one connection.
      </p>
    </div>
  );
}
