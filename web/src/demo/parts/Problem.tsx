/** Why a job has no result, and what to do about it. */

import { rawJson } from "../../lib/index.js";
import { pretty, rawMember } from "../rawjson";
import type { Run } from "../runs";
import { Code } from "./Code";

export function Problem({ run }: { readonly run: Run }) {
  const found = run.problem === null ? failureOf(run) : refusalOf(run.problem);
  if (found === null) return null;
  return (
    <div className="problem">
      <p className="error" role={run.submission === null ? undefined : "alert"} data-testid="error">
        {found.sentence}
      </p>
      <p className="advice">{found.advice}</p>
      {found.body !== null && (
        <details>
          <summary>fal's own {run.problem === null ? "error" : "answer"}</summary>
          <Code testid="error-detail">{found.body}</Code>
        </details>
      )}
    </div>
  );
}

interface Found {
  readonly sentence: string;
  readonly advice: string;
  readonly body: string | null;
}

function refusalOf({ sentence, advice, code, falBody }: NonNullable<Run["problem"]>): Found {
  return { sentence, advice: `${advice} (${code})`, body: falBody };
}

function failureOf({ seen: { job } }: Run): Found | null {
  if (job === null || job.status !== "failed") return null;
  const text = rawMember(rawJson(job) ?? JSON.stringify(job), "errorDetail");
  return {
    sentence: job.error ?? "The job failed; fal gave no reason.",
    advice: "Change the prompt or the model, then generate again; a failed job does not continue.",
    body: text === null || text === "null" ? null : pretty(text),
  };
}
