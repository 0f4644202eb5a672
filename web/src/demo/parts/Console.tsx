/** The form that starts a job. */

import { type FormEvent, type KeyboardEvent, useRef } from "react";
import type { Wish } from "../submission";
import { FaultPicker } from "./FaultPicker";
import { ModelPicker } from "./ModelPicker";

const PROMPT =
  "A paper lighthouse on a rocky coast at dusk, its beam sweeping over slow waves, stop-motion, soft film grain";

export function Console({ onGenerate }: { readonly onGenerate: (wish: Wish) => void }) {
  const prompt = useRef<HTMLTextAreaElement>(null);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    const text = (name: string) => String(fields.get(name)).trim();
    const wish = { prompt: text("prompt"), endpointId: text("model"), fault: text("fault") };
    if (wish.prompt === "") prompt.current?.focus();
    else onGenerate(wish);
  };
  const press = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    event.currentTarget.form?.requestSubmit();
  };
  return (
    <form className="console panel" aria-labelledby="console-title" onSubmit={submit}>
      <h2 id="console-title" className="unseen">
        New job
      </h2>
      <label htmlFor="prompt">Prompt</label>
      <textarea
        id="prompt"
        name="prompt"
        rows={3}
        required
        ref={prompt}
        defaultValue={PROMPT}
        onKeyDown={press}
        data-testid="prompt"
      />
      <ModelPicker />
      <FaultPicker />
      <button className="generate" type="submit" data-testid="generate">
        Generate
      </button>
      <p className="hint keys">
        <kbd>Ctrl</kbd> <kbd>Enter</kbd> works, too. Start several.
      </p>
    </form>
  );
}
