/** A job's endpoint, request id, version and creation time. */

import type { Run } from "../runs";
import { CopyButton } from "./CopyButton";

export function Facts({ run: { requestId, submission, seen } }: { readonly run: Run }) {
  const { job } = seen;
  const endpoint = job?.endpointId ?? submission?.endpointId;
  const created = job === null ? null : new Date(job.createdAt);
  return (
    <p className="facts">
      {endpoint && <span>{endpoint}</span>}
      <span className="facts-line">
        {requestId !== null && (
          <CopyButton className="id" text={requestId} label={`Copy the request id ${requestId}`}>
            {requestId}
          </CopyButton>
        )}
        {job !== null && <span data-testid="version">v{job.version}</span>}
        {created !== null && <time dateTime={job?.createdAt}>{created.toLocaleTimeString()}</time>}
      </span>
    </p>
  );
}
