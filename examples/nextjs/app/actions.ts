"use server";

import { refresh } from "next/cache";
import { hookcast, jobsOf } from "@/lib/hookcast";
import { sentence } from "@/lib/sentences";
import { currentUser, signInAsGuest } from "@/lib/session";
import { MAX_PROMPT } from "@/lib/video";

const ENDPOINT = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video";
const MAX_RUNNING = 3;

export type Answer = { readonly requestId: string } | { readonly error: string };

/** Submit a prompt to fal. `key` makes retries safe: the same key is the same job. */
export async function submitVideo(prompt: string, key: string): Promise<Answer> {
  // A server action is a public endpoint: types are not checked at runtime, so validate the arguments.
  if (typeof prompt !== "string" || !prompt.trim()) return { error: "Please describe the video." };
  if (prompt.length > MAX_PROMPT) return { error: `Please say it in ${MAX_PROMPT} characters.` };
  if (typeof key !== "string" || !/^[\w-]{16,64}$/.test(key)) return { error: "Please reload the page." };

  // With your own sign-in: if (!user) return { error: "Please sign in." };
  const user = (await currentUser()) ?? (await signInAsGuest());
  try {
    const running = await jobsOf(user.id, { status: "pending", limit: MAX_RUNNING });
    if (running.length === MAX_RUNNING) return { error: "Please wait until one of your videos is done." };
    const { requestId } = await hookcast().submit(
      { endpointId: ENDPOINT, input: { prompt: prompt.trim() }, owner: user.id, metadata: { prompt: prompt.trim() } },
      { idempotencyKey: `${user.id}:${key}` }, // scoped to the user: a guessed key does not reach another user's job
    );
    refresh(); // re-renders the page with the new job
    return { requestId };
  } catch (error) {
    return { error: sentence(error) };
  }
}

/** Ask fal to cancel one of the user's own jobs. Returns an error message, or null. */
export async function cancelVideo(requestId: string): Promise<string | null> {
  const user = await currentUser();
  try {
    const job = await hookcast().get(String(requestId));
    if (!user || job.owner !== user.id) return "This video is not there any more.";
    await hookcast().cancel(job.requestId);
    return null;
  } catch (error) {
    return sentence(error);
  }
}
