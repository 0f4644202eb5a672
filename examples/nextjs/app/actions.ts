"use server";

import { refresh } from "next/cache";
import { hookcast, jobsOf } from "@/lib/hookcast";
import { sentence } from "@/lib/sentences";
import { currentUser, signInAsGuest } from "@/lib/session";
import { MAX_PROMPT } from "@/lib/video";

const ENDPOINT = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video";
const MAX_RUNNING = 3;

export type Answer = { readonly requestId: string } | { readonly error: string };

/** Sends a prompt to fal. The same `key` makes the same job, however often a shaky network sends it. */
export async function submitVideo(prompt: string, key: string): Promise<Answer> {
  // Whoever finds the action's address may call it with anything: the types promise nothing.
  if (typeof prompt !== "string" || !prompt.trim()) return { error: "Please describe the video." };
  if (prompt.length > MAX_PROMPT) return { error: `Please say it in ${MAX_PROMPT} characters.` };
  if (typeof key !== "string" || !/^[\w-]{16,64}$/.test(key)) return { error: "Please reload the page." };

  // With sign-in of your own: if (!user) return { error: "Please sign in." };
  const user = (await currentUser()) ?? (await signInAsGuest());
  try {
    const running = await jobsOf(user.id, { status: "pending", limit: MAX_RUNNING });
    if (running.length === MAX_RUNNING) return { error: "Please wait until one of your videos is done." };
    const { requestId } = await hookcast().submit(
      { endpointId: ENDPOINT, input: { prompt: prompt.trim() }, owner: user.id, metadata: { prompt: prompt.trim() } },
      { idempotencyKey: `${user.id}:${key}` }, // nobody gets another user's job by guessing keys
    );
    refresh(); // the page shows the new job
    return { requestId };
  } catch (error) {
    return { error: sentence(error) };
  }
}

/** Asks fal to cancel a job of the user's own. Answers what went wrong. */
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
