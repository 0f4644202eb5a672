/** The jobs of a user, live. */

import { useFalJob } from "hookcast/react";
import { useMyJobs } from "hookcast/react/my-jobs";
import { useState } from "react";

type Video = { video: { url: string } };

export function Mine() {
  const { jobs, hasMore, loadMore, transport } = useMyJobs<Video>({ limit: 2 });
  const [told, setTold] = useState(0);
  const newest = useFalJob<Video>({ requestId: jobs[0]?.requestId, onCompleted: () => setTold((times) => times + 1) });
  return (
    <>
      <ul data-testid="mine" data-transport={transport}>
        {jobs.map(({ requestId, status }) => (
          <li key={requestId} data-status={status}>
            {requestId}
          </li>
        ))}
      </ul>
      {hasMore && (
        <button type="button" onClick={loadMore}>
          More
        </button>
      )}
      <p data-testid="newest" data-status={newest.status} data-polling={newest.isPolling}>
        {newest.job?.result?.video.url} {told}
      </p>
      <button type="button" onClick={() => void newest.cancel()}>
        Cancel
      </button>
      <button type="button" onClick={() => void newest.retry()}>
        Retry
      </button>
    </>
  );
}
