/** The jobs of the signed-in user. */

import { useMyJobs } from "hookcast/react/my-jobs";

export function Mine() {
  const { jobs, error } = useMyJobs();
  return (
    <>
      <p role="alert">{error?.message}</p>
      <ul>
        {jobs.map((job) => (
          <li key={job.requestId} data-status={job.status}>
            {job.requestId}
          </li>
        ))}
      </ul>
    </>
  );
}
