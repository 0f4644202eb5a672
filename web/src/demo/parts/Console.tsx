/** The form that starts a job. */

import { type FormEvent, useRef } from "react";
import type { Wish } from "../submission";
import { FaultPicker } from "./FaultPicker";
import { ModelPicker } from "./ModelPicker";
import { PromptField } from "./PromptField";

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
  return (
    <form className="console panel" aria-labelledby="console-title" onSubmit={submit}>
      <h2 id="console-title" className="unseen">
        New job
      </h2>
      <PromptField field={prompt} />
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
