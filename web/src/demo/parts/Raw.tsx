/** What fal answered, word for word: the result, its error, or why it refused. The place is kept while there is nothing. */

import type { Run } from "../runs";
import { Code } from "./Code";
import { RawMember } from "./RawMember";

export function Raw({ run: { problem, seen } }: { readonly run: Run }) {
  const { job } = seen;
  return (
    <div className="raws">
      {job !== null && job.result !== null && (
        <RawMember job={job} name="result" title="Result as JSON" testid="result" />
      )}
      {job?.status === "failed" && job.errorDetail !== null && (
        <RawMember job={job} name="errorDetail" title="fal's own error" testid="error-detail" />
      )}
      {problem !== null && problem.falBody !== null && (
        <details className="raw">
          <summary>fal's own answer</summary>
          <Code testid="error-detail">{problem.falBody}</Code>
        </details>
      )}
    </div>
  );
}
