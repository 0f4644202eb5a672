/** The files of a job that are not kept, and why. */

import type { Job } from "../../lib/index.js";
import { troublesOf } from "../files";

const SHOWN = 5;

export function Troubles({ job }: { readonly job: Job | null }) {
  const troubles = troublesOf(job);
  if (troubles.length === 0) return null;
  return (
    <ul className="notice" data-testid="troubles">
      {troubles.slice(0, SHOWN).map(({ file, sentence }) => (
        <li key={file}>
          <b>{file}</b> {sentence}
        </li>
      ))}
      {troubles.length > SHOWN && <li>and {troubles.length - SHOWN} more</li>}
    </ul>
  );
}
