"use client";

import { useActionState } from "react";
import { MAX_PROMPT, OFFLINE } from "@/lib/video";
import { submitVideo } from "./actions";

type Attempt = { readonly prompt: string; readonly key: string; readonly error: string | null };

const FRESH: Attempt = { prompt: "", key: "", error: null };

export function VideoForm() {
  const [last, action, isPending] = useActionState(send, FRESH);
  return (
    <form action={action}>
      <label htmlFor="prompt">What should it show?</label>
      <textarea
        id="prompt"
        name="prompt"
        rows={3}
        required
        maxLength={MAX_PROMPT}
        defaultValue={last.prompt}
        placeholder="A lighthouse in a storm, waves up to its lamp"
        aria-describedby="problem"
      />
      <button type="submit" disabled={isPending}>
        {isPending ? "Sending…" : "Generate"}
      </button>
      <p id="problem" role="alert">
        {last.error}
      </p>
    </form>
  );
}

/** Submit the form. After an error the prompt stays in it; resubmitted unchanged, it keeps its idempotency key. */
async function send(last: Attempt, form: FormData): Promise<Attempt> {
  const prompt = String(form.get("prompt"));
  const key = prompt === last.prompt ? last.key : newKey();
  try {
    const error = await submitVideo(prompt, key);
    return error ? { prompt, key, error } : FRESH;
  } catch {
    return { prompt, key, error: OFFLINE };
  }
}

/** Return a random key, on plain http too, where `crypto.randomUUID` is missing. */
function newKey(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}
