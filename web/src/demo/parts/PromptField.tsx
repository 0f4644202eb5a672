/** The field for the prompt; Ctrl and Enter submit its form. */

import type { KeyboardEvent, RefObject } from "react";

const PROMPT =
  "A paper lighthouse on a rocky coast at dusk, its beam sweeping over slow waves, stop-motion, soft film grain";

export function PromptField({ field }: { readonly field: RefObject<HTMLTextAreaElement | null> }) {
  const press = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    event.currentTarget.form?.requestSubmit();
  };
  return (
    <>
      <label htmlFor="prompt">Prompt</label>
      <textarea
        id="prompt"
        name="prompt"
        rows={3}
        required
        ref={field}
        defaultValue={PROMPT}
        onKeyDown={press}
        data-testid="prompt"
      />
    </>
  );
}
