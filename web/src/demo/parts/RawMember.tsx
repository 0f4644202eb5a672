/** A member of a job as JSON, every digit as fal wrote it. */

import { useState } from "react";
import type { Job } from "../../lib/index.js";
import { useRaw } from "../hooks/useRaw";
import { pretty, rawMember } from "../rawjson";
import { Code } from "./Code";

interface RawMemberProps {
  readonly job: Job;
  readonly name: "result" | "errorDetail";
  readonly title: string;
  readonly testid: string;
}

export function RawMember({ job, name, title, testid }: RawMemberProps) {
  const [open, setOpen] = useState(false);
  const text = useRaw(job, open);
  return (
    <details className="raw" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{title}</summary>
      {open && <Code testid={testid}>{pretty(rawMember(text, name) ?? "null")}</Code>}
    </details>
  );
}
